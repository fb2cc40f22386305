"""Frozen features: every video goes through a network once, ever.

A feature is kept under what it depends on (weights, preprocessing, precision) and the content of
its video, so splits, seeds and experiments share it and a moved or renamed video keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.files import write_atomically
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.training.streams import FrozenStream

log = logging.getLogger(__name__)

VERSION = 2
"""Raised when a change of the code changes features, so that old ones are not taken for new."""


class Feature(NamedTuple):
    """The features (f) of a video, and how much of it was read, where not all."""

    values: np.ndarray
    partly: str | None


class FeatureStore:
    """Features of one network and preprocessing on disk, one small file for each video content.

    Args:
        root: Folder of all features.
        key: Digest of everything but the video that a feature depends on.
    """

    def __init__(self, root: Path, key: str) -> None:
        self.folder = root / key[:16]

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}.npz"

    def get(self, sha256: str) -> Feature | None:
        """Read the feature of a video content, or None where it was not computed or is damaged."""
        try:
            with np.load(self.path(sha256), allow_pickle=False) as stored:
                return Feature(stored["values"], str(stored["partly"]) or None)
        except (FileNotFoundError, ValueError, EOFError, KeyError, BadZipFile):
            return None

    def put(self, sha256: str, features: Tensor, partly: str | None) -> None:
        write_atomically(
            self.path(sha256),
            lambda file: np.savez(file, values=features.numpy(), partly=np.array(partly or "")),
        )


def frozen_features(
    network: VideoNetwork,
    videos: Sequence[Video],
    data: VideoDataModule,
    store: FeatureStore,
    trainer: L.Trainer,
) -> tuple[Float[Tensor, "n f"], list[Video], dict[str, str], dict[str, str]]:
    """Get the features of whole videos at test preprocessing, computed where the store lacks them.

    Returns:
        The features, the videos that they are of (the readable ones, in the order given), for each
        unreadable video's id why, and for each that was read only in part how much of it.
    """
    contents: dict[Path, str] = {}
    unreadable: dict[str, str] = {}
    for video in videos:
        try:
            contents[video.path] = video.file.content
            video.file.check()  # also where its features are stored, and it is not opened
        except UnreadableVideoError as error:
            unreadable[video.id] = str(error)
    lacking = {
        contents[v.path]: v for v in videos if v.path in contents and store.get(contents[v.path]) is None
    }
    todo = list(lacking.values())
    if todo:
        log.info("Features: %d of %d videos to compute, the others are stored.", len(todo), len(videos))

        def keep(index: int, feature: Tensor, partly: str | None) -> None:
            store.put(contents[todo[index].path], feature, partly)

        stream = FrozenStream(network, data.clips, keep)
        trainer.predict(stream, datamodule=data.whole(todo), return_predictions=False)
        broken = {contents[todo[index].path]: why for index, why in stream.unreadable.items()}
        unreadable |= {v.id: broken[contents[v.path]] for v in videos if contents.get(v.path) in broken}
    readable = [v for v in videos if v.id not in unreadable]
    found = [f for v in readable if (f := store.get(contents[v.path])) is not None]
    stacked = np.stack([f.values for f in found]) if found else np.zeros((0, 0), np.float32)
    partly = {v.id: f.partly for v, f in zip(readable, found, strict=True) if f.partly}
    return torch.from_numpy(stacked), readable, unreadable, partly
