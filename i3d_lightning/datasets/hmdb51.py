"""HMDB-51 (Kuehne et al., 2011): https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, Video, below, first_folder, present, read_lines
from i3d_lightning.errors import InputError

_TRAIN, _TEST = "1", "2"
"""Marks in the official lists; 0 is a video that the split does not use."""


def read_hmdb51(root: Path, split: int) -> DatasetSplit:
    """Read a split from the official lists.

    Args:
        root: Holds the class folders, or `videos/` or `hmdb51_org/` with them, and
            `testTrainMulti_7030_splits/` or `splits/`.
        split: 1, 2 or 3.

    Raises:
        InputError: The lists, the split or all of its videos are missing, or a list is wrong.
    """
    folders = ("testTrainMulti_7030_splits", "splits", ".")
    lists = first_folder(root, folders, "*_test_split[0-9].txt", "HMDB-51 split files")
    ending = f"_test_split{split}.txt"
    files = {file.name.removesuffix(ending): file for file in sorted(lists.glob(f"*{ending}"))}
    if not files:
        known = sorted({int(file.stem[-1]) for file in lists.glob("*_test_split[0-9].txt")})
        raise InputError(f"HMDB-51 has no split {split} in {lists}: choose one of {known}.")
    videos = first_folder(root, ("videos", "hmdb51_org", "."), "*/*.avi", "HMDB-51 videos")
    classes = tuple(sorted(files))
    listed = [
        entry for label, name in enumerate(classes) for entry in _listed(files[name], name, label, videos)
    ]
    train, missing_train = present(video for video, mark in listed if mark == _TRAIN)
    test, missing_test = present(video for video, mark in listed if mark == _TEST)
    return DatasetSplit("hmdb51", split, classes, train, test, missing_train, missing_test)


def _listed(file: Path, class_name: str, label: int, videos: Path) -> Iterator[tuple[Video, str]]:
    for where, line in read_lines(file):
        name, _, mark = line.rpartition(" ")
        name = name.rstrip()
        if not name or mark not in ("0", _TRAIN, _TEST):
            raise InputError(
                f"{file} has the line '{line}', which is not a file name and 0, 1 or 2: download it again."
            )
        below(name, where)
        source = name.rpartition(f"_{class_name}_")[0] or Path(name).stem
        yield Video(f"{class_name}/{name}", videos / class_name / name, label, source), mark


register(Dataset("hmdb51", read_hmdb51, splits=(1, 2, 3), stands_for="hmdb51"))
