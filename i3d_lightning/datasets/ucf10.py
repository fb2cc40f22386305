"""UCF-10: ten classes of UCF-101 and up to two videos of each group, for comparisons on a laptop.

The 384 videos are those in `ucf10.txt`; which train and which test is said by UCF-101's official splits.
It stands for no data set of the paper: ten classes are easier than a hundred and one. How small its clips
are is said where it is run, in `experiments/ucf10-laptop.yaml`, since weights come with sizes of their own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit
from i3d_lightning.datasets.ucf101 import read_ucf101


@cache
def listed() -> tuple[str, ...]:
    """List the ids of its videos, as UCF-101's lists write them."""
    return tuple(Path(__file__).with_name("ucf10.txt").read_text(encoding="utf-8").split())


def read_ucf10(root: Path, split: int) -> DatasetSplit:
    """Read a split of UCF-101 and keep the listed videos; one of them without a file is missing.

    Args:
        root: Of UCF-101, of which the other videos need not be there, see `read_ucf101`.
        split: 1, 2 or 3.

    Raises:
        InputError: As `read_ucf101`.
    """
    whole, ids = read_ucf101(root, split), frozenset(listed())
    present = {id_.split("/")[0] for id_ in ids}
    classes = tuple(name for name in whole.classes if name in present)
    train, test = (
        tuple(
            replace(video, label=classes.index(whole.classes[video.label]))
            for video in part
            if video.id in ids
        )
        for part in (whole.train, whole.test)
    )
    missing_train, missing_test = (
        tuple(id_ for id_ in part if id_ in ids) for part in (whole.missing_train, whole.missing_test)
    )
    return DatasetSplit("ucf10", split, classes, train, test, missing_train, missing_test)


register(Dataset("ucf10", read_ucf10, splits=(1, 2, 3)))
