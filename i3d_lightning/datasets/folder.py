"""Any videos in folders: `train/<class>/<video>` and `test/<class>/<video>`."""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.datasets.videos import DatasetSplit, Video, first_folder
from i3d_lightning.plan import InputError

SUFFIXES = {".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
"""File name endings that are taken for videos."""


def read_folder(root: Path, split: int) -> DatasetSplit:
    """Reads the videos there are; classes are those of both parts, sorted by name.

    Nothing says which videos share a source, so every video is a group of its own.

    Raises:
        InputError: A part is missing or empty, or the split is not 1.
    """
    if split != 1:
        raise InputError(f"A folder of videos has no split {split}: it has only split 1.")
    found = {
        part: _videos(first_folder(root, (part,), "*/*.*", f"{part} videos")) for part in ("train", "test")
    }
    classes = tuple(sorted({file.parent.name for files in found.values() for file in files}))
    train, test = (tuple(_video(file, root, classes) for file in files) for files in found.values())
    return DatasetSplit("folder", split, classes, train, test)


def _videos(part: Path) -> list[Path]:
    return sorted(file for file in part.glob("*/*") if file.suffix.lower() in SUFFIXES)


def _video(file: Path, root: Path, classes: tuple[str, ...]) -> Video:
    name = file.relative_to(root).as_posix()
    return Video(name, file, classes.index(file.parent.name), group=name)
