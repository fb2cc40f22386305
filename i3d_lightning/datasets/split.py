"""What a data set is: videos, labels and groups, and which of them train and which test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from i3d_lightning.errors import InputError
from i3d_lightning.video.file import VideoFile


@dataclass(frozen=True)
class Video:
    """One labelled video. What identifies its file is known from the manifest of its data set.

    Attributes:
        id: Its name in the data set's lists.
        path: Its file.
        label: Index of its class.
        group: Videos of one group share a source: they must never be divided between training and
            validation.
        sha256: Of the file's content.
        bytes: The file's size.
        modified: When the file was last changed, in nanoseconds.
    """

    id: str
    path: Path
    label: int
    group: str
    sha256: str = ""
    bytes: int = -1
    modified: int = -1

    @property
    def file(self) -> VideoFile:
        """Its file, to be read."""
        return VideoFile(self.path, self.sha256, self.bytes, self.modified)


@dataclass(frozen=True)
class DatasetSplit:
    """The videos of one official split that are present, and the names of those that are not.

    Attributes:
        name: Name of the data set.
        split: Number of the split, from 1.
        classes: All official classes, whether or not videos of them are present.
        train: Videos to train on.
        test: Videos to test on.
        missing_train: Ids on the official training list that have no file.
        missing_test: Ids on the official test list that have no file.
        tested_on: What the data set itself calls the part tested on.
    """

    name: str
    split: int
    classes: tuple[str, ...]
    train: tuple[Video, ...]
    test: tuple[Video, ...]
    missing_train: tuple[str, ...] = ()
    missing_test: tuple[str, ...] = ()
    tested_on: str = "test"


def present(videos: Iterable[Video]) -> tuple[tuple[Video, ...], tuple[str, ...]]:
    """Part listed videos into those with a file and the ids of those without."""
    listed = list(videos)
    there = tuple(video for video in listed if video.path.is_file())
    found = {video.id for video in there}
    return there, tuple(video.id for video in listed if video.id not in found)


def first_folder(root: Path, names: Iterable[str], pattern: str, what: str) -> Path:
    """Find the first of the usual folders below `root` ("." for itself) that has files of a pattern.

    Raises:
        InputError: None has.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds the data set.")
    names = list(names)
    for name in names:
        if next((root / name).glob(pattern), None) is not None:
            return root / name
    looked = ", ".join(f"{name}/{pattern}".removeprefix("./") for name in names)
    raise InputError(f"No {what} below {root}: looked for {looked}.")
