"""Any videos in folders: `train/<class>/<video>` and `test/<class>/<video>`."""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.datasets.videos import DatasetSplit, Video, first_folder

SUFFIXES = frozenset(".avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv .3gp".split())
"""File name endings that are taken for videos."""


def read_folder(root: Path, split: int) -> DatasetSplit:
    """Reads the videos there are; classes are those of both parts, sorted by name.

    Nothing says which videos share a source, so every video is a group of its own.

    Raises:
        InputError: A part is missing or empty.
    """
    found = {part: _videos(first_folder(root, (part,), "*/*.*", f"{part}ing videos")) for part in ("train", "test")}
    classes = tuple(sorted({file.parent.name for files in found.values() for file in files}))
    train, test = (
        tuple(
            Video(id_ := file.relative_to(root).as_posix(), file, classes.index(file.parent.name), id_) for file in files
        )
        for files in found.values()
    )
    return DatasetSplit("folder", split, classes, train, test)


def _videos(part: Path) -> list[Path]:
    return sorted(file for file in part.glob("*/*") if file.suffix.lower() in SUFFIXES)
