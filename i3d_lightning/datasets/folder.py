"""Any videos in folders: `train/<class>/<video>` and `test/<class>/<video>`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from i3d_lightning.datasets.split import DatasetSplit, Video, first_folder
from i3d_lightning.errors import InputError

SUFFIXES = {".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
"""File name endings that are taken for videos."""


def read_folder(root: Path, split: int) -> DatasetSplit:
    """Read the videos there are; classes are those of both parts, sorted by name.

    Nothing says which videos share a source, so every video is a group of its own.

    Raises:
        InputError: A part is missing or empty, or the split is not 1.
    """
    if split != 1:
        raise InputError(f"A folder of videos has no split {split}: it has only split 1.")
    found = {
        part: files_of(first_folder(root, (part,), "*/*.*", f"{part} videos"), SUFFIXES)
        for part in ("train", "test")
    }
    classes = tuple(sorted({file.parent.name for files in found.values() for file in files}))
    train, test = (labelled(files, root, classes) for files in found.values())
    return DatasetSplit(root.name, split, classes, train, test)


def files_of(part: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files in a part's class folders whose names end so, sorted."""
    return sorted(file for file in part.glob("*/*") if file.suffix.lower() in suffixes and may_be_read(file))


def walk(root: Path) -> Iterator[Path]:
    """Go through all files below a folder, also behind links, but through no folder twice."""
    met: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in met:
            met.add((status.st_dev, status.st_ino))
            waiting += [entry for entry in entries if is_folder(entry)]
            yield from (entry for entry in entries if may_be_read(entry))


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder; what cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:  # what it lies in may be listed, but not entered
        return False


def may_be_read(path: Path) -> bool:
    """Leave out folders, pipes and devices; a link to nowhere stays, to be named as unreadable."""
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return True


def labelled(files: Iterable[Path], root: Path, classes: Sequence[str]) -> tuple[Video, ...]:
    """Label files by the folders that they lie in, each a group of its own."""
    labels = {name: label for label, name in enumerate(classes)}
    names = ((file, file.relative_to(root).as_posix()) for file in files)
    return tuple(Video(name, file, labels[file.parent.name], group=name) for file, name in names)
