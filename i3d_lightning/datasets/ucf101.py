"""UCF-101 (Soomro, Zamir and Shah, 2012): https://www.crcv.ucf.edu/data/UCF101.php."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, Video, below, first_folder, present, read_lines
from i3d_lightning.errors import InputError


def read_ucf101(root: Path, split: int) -> DatasetSplit:
    """Read a split from the official lists; videos are matched by the paths in them.

    A class name parsed from a file name would not do: `HandstandPushups` holds files named
    `v_HandStandPushups_*`.

    Args:
        root: Holds `UCF-101/` or `videos/`, and `ucfTrainTestlist/` or `splits/`, as downloaded.
        split: 1, 2 or 3.

    Raises:
        InputError: The lists, the split or all of its videos are missing, or a list is wrong.
    """
    lists = first_folder(root, ("ucfTrainTestlist", "splits", "."), "classInd.txt", "UCF-101 class list")
    train_list, test_list = (lists / f"{part}list{split:02d}.txt" for part in ("train", "test"))
    for file in (train_list, test_list):
        if not file.is_file():
            known = sorted(int(f.stem[-2:]) for f in lists.glob("trainlist[0-9][0-9].txt"))
            raise InputError(
                f"UCF-101 has no split {split} in {lists} (no {file.name}): choose one of {known}."
            )
    videos = first_folder(root, ("UCF-101", "videos", "."), "*/*.avi", "UCF-101 videos")
    classes = _classes(lists / "classInd.txt")
    train, missing_train = present(_listed(train_list, videos, classes))
    test, missing_test = present(_listed(test_list, videos, classes))
    return DatasetSplit("ucf101", split, classes, train, test, missing_train, missing_test)


def _classes(file: Path) -> tuple[str, ...]:
    classes = []
    for number, (where, line) in enumerate(read_lines(file), 1):
        words = line.split()
        if len(words) != 2 or words[0] != str(number):
            raise InputError(
                f"{where} is '{line[:100]}', but must be {number} and a class: download it again."
            )
        if words[1] in classes:
            raise InputError(f"{where} names the class '{words[1]}' again: download it again.")
        classes.append(words[1])
    return tuple(classes)


def _listed(file: Path, videos: Path, classes: tuple[str, ...]) -> Iterator[Video]:
    labels = {name: label for label, name in enumerate(classes)}
    for where, line in read_lines(file):
        name, *number = line.split()  # training lists add the class number
        below(name, where)
        class_name = name.split("/")[0]
        if class_name not in labels:
            raise InputError(
                f"{file} names the class '{class_name}', which classInd.txt lacks: are they of one version?"
            )
        if number not in ([], [str(labels[class_name] + 1)]):
            raise InputError(
                f"{where} gives {name} the class {' '.join(number)[:100]}, but classInd.txt the class "
                f"{labels[class_name] + 1}: are they of one version?"
            )
        group = re.search(r"_(g\d+)_c\d+", name)
        source = group[1] if group else Path(name).stem
        yield Video(name, videos / name, labels[class_name], f"{class_name}/{source}")


register(Dataset("ucf101", read_ucf101, splits=(1, 2, 3), stands_for="ucf101"))
