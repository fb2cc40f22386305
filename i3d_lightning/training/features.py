"""Frozen features: every video goes through a network once, ever.

A feature is kept under what it depends on (weights, preprocessing, precision) and the content of
its video, so splits, seeds and experiments share it and a moved or renamed video keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from i3d_lightning import lease, ranks
from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.training.feature_store import Feature, FeatureStore
from i3d_lightning.training.streams import FrozenStream, warn_of_looped

log = logging.getLogger(__name__)

VERSION = 3
"""Raised when a change of the code changes features, so that old ones are not taken for new.

1 were files of one video each, without a checksum; until 2 a video longer than a test clip was seen from its
middle, since 3 from its start, and one looped with its flow starts again in both at once.
"""


@dataclass(frozen=True)
class FrozenFeatures:
    """The features of a list of videos.

    Attributes:
        values: One row for each readable video.
        videos: Those, in the order given.
        unreadable: Id of a video that could not be read -> why.
        partly: Id of a video that was partly read -> how much of it.
    """

    values: Float[Tensor, "n f"]
    videos: list[Video]
    unreadable: dict[str, str]
    partly: dict[str, str]


def frozen_features(
    network: VideoNetwork,
    videos: Sequence[Video],
    data: VideoDataModule,
    store: FeatureStore,
    trainer: L.Trainer,
) -> FrozenFeatures:
    """Get the features of whole videos at test preprocessing, computed where the store lacks them.

    Of several processes each has them all in the end, whether they share the store or not. Of two runs
    at once one computes them, and the other waits.

    Raises:
        InputError: A video's features are not finite, or it is another file than it was.
    """
    contents, unreadable = ranks.by_first(lambda: _contents(videos))
    by_content = {contents[v.id]: v for v in videos if v.id in contents}
    found = store.read(by_content)
    _share(found)
    if by_content.keys() - found.keys():
        with _alone(store, data):
            found |= store.read(by_content.keys() - found.keys())  # of whoever was waited for
            _share(found)
            todo = [video for content, video in by_content.items() if content not in found]
            if todo:
                log.info(
                    "Features: %d of %d videos to compute, the others are stored.", len(todo), len(videos)
                )
                computed, broken = _compute(network, todo, contents, data, store, trainer)
                found |= computed
                _share(found)
                unreadable |= {i: broken[c] for i, c in contents.items() if c in broken}
                if ranks.is_first():
                    store.merge()
    readable = [v for v in videos if v.id not in unreadable]
    if lost := [v.id for v in readable if contents[v.id] not in found]:
        raise RuntimeError(f"the features of {len(lost)} videos were not computed, such as {lost[0]}")
    features = [found[contents[v.id]] for v in readable]
    values = np.stack([f.values for f in features]) if features else np.zeros((0, 0), np.float32)
    partly = {v.id: f.partly for v, f in zip(readable, features, strict=True) if f.partly is not None}
    return FrozenFeatures(torch.from_numpy(values), readable, unreadable, partly)


def _contents(videos: Sequence[Video]) -> tuple[dict[str, str], dict[str, str]]:
    """Find the content of each video by its id, and why it has none."""
    contents, unreadable = {}, {}
    for video in videos:
        try:
            content = video.file.content
            video.file.check()  # also where its features are stored, and it is not opened
            contents[video.id] = content
        except UnreadableVideoError as error:
            unreadable[video.id] = str(error)
    return contents, unreadable


def _alone(store: FeatureStore, data: VideoDataModule) -> AbstractContextManager[None]:
    """Keep other runs from computing features of the same data set; those of others do not wait."""
    if not ranks.is_first():
        return nullcontext()
    return lease.held(store.folder / data.split.name, f"Features of {data.split.name}")


def _compute(
    network: VideoNetwork,
    todo: Sequence[Video],
    contents: Mapping[str, str],
    data: VideoDataModule,
    store: FeatureStore,
    trainer: L.Trainer,
) -> tuple[dict[str, Feature], dict[str, str]]:
    """Compute and store features of this process's share of videos; by content, like why others have none."""
    computed: dict[str, Feature] = {}

    def keep(index: int, values: Tensor, partly: str | None) -> None:
        video = todo[index]
        if not values.isfinite().all():
            raise InputError(
                f"The features of {video.path} are not finite: the weights are damaged, or do not belong to "
                "this preprocessing and precision."
            )
        computed[contents[video.id]] = Feature(values.numpy(), partly)
        store.put(contents[video.id], *computed[contents[video.id]])

    stream = FrozenStream(network, data.clips, keep)
    try:
        trainer.predict(stream, datamodule=data.whole(todo), return_predictions=False)
    finally:
        store.flush()
    if trainer.is_global_zero:
        warn_of_looped(todo, stream.looped, data.clips)
    return computed, {contents[todo[index].id]: why for index, why in stream.unreadable.items()}


def _share(found: dict[str, Feature]) -> None:
    """Give all processes what some have."""
    if ranks.size() == 1:
        return
    everywhere = ranks.gather(frozenset(found))
    common = frozenset.intersection(*everywhere)
    # What several have, the first of them gives.
    before: frozenset[str] = frozenset().union(*everywhere[: ranks.rank()])
    for theirs in ranks.gather({c: found[c] for c in found.keys() - common - before}):
        found |= theirs
