"""The data sets by name: which videos, which label, which split."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from i3d_lightning.datasets.folder import read_folder
from i3d_lightning.datasets.hmdb51 import read_hmdb51
from i3d_lightning.datasets.imagenet import read_imagenet
from i3d_lightning.datasets.kinetics import read_kinetics
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.datasets.videos import DatasetSplit, Video
from i3d_lightning.plan import DATASETS, InputError, check_known, is_demo

__all__ = ["DatasetSplit", "Video", "read_dataset"]

_READERS = {
    "ucf101": read_ucf101,
    "hmdb51": read_hmdb51,
    "kinetics": read_kinetics,
    "imagenet": read_imagenet,
    "folder": read_folder,
}


def read_dataset(name: str, root: Path, split: int) -> DatasetSplit:
    """Reads one split of a data set.

    Args:
        name: One of `plan.DATASETS`.
        root: Its folder, as downloaded; for a demo set, the folder of all demo sets.
        split: Official split, from 1.

    Raises:
        InputError: The data set is unknown, its lists or videos are not below `root`, or it has no
            such split.
    """
    check_known("data set", name, DATASETS)
    kind, folder = name.removeprefix("demo-"), Path(root)
    if is_demo(name):
        folder = folder / kind
    read = dataclasses.replace(_READERS[kind](folder, split), name=name)
    for part, videos in (("training", read.train), ("test", read.test)):
        if not videos:
            raise InputError(f"No {part} video of {name}, split {split}, is below {folder}: check the root.")
    return read
