"""Which videos features are taken of: below a folder or on a list, each with an id of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from i3d_lightning.datasets.folder import SUFFIXES, walk
from i3d_lightning.datasets.rows import read_rows
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import is_text

LONGEST, DEEPEST = 255 - len("_joint.npy"), 2048
"""Bytes that a name, and a path of names, may have, so that file systems take those of its features."""


@dataclass(frozen=True)
class Listed:
    """A video to take features of.

    Attributes:
        id: What its features are called by.
        path: Its file.
    """

    id: str
    path: Path


def find_videos(source: Path, flat: bool) -> list[Listed]:
    """List videos by their ids: those at any depth of a folder, those on a list, or the only one.

    A list is a CSV file with a column `path`, and none of `start` and `end`, or a text with a path on each
    line; paths are relative to the folder that it lies in. Files on it that are not there stay: they are to
    be named as missing.

    Args:
        source: The folder, list or video.
        flat: An id is the file's name alone; else it is its path below the folder, or as it is listed.

    Raises:
        InputError: There are none, or two would have the same id.
    """
    try:
        if source.is_dir():
            found = [(file.relative_to(source), file) for file in walk(source) if _is_video(file)]
        elif _is_video(source) and source.is_file():
            found = [(Path(source.name), source)]
        elif source.is_file():
            found = [(Path(line), source.parent / line) for line in _listed(source)]
        else:
            raise InputError(f"There is no folder of videos and no list of them at {source}: check the path.")
    except OSError as error:
        raise InputError(f"Cannot read {source}: {error.strerror}.") from error
    if not found:
        raise InputError(f"There is no video in {source}: check the path.")
    videos: dict[str, Listed] = {}
    for name, path in found:
        video = Listed(_id(name, flat), path)
        other = videos.setdefault(video.id, video)
        if other.path != path:
            raise InputError(
                f"{other.path} and {path} would both have their features as '{video.id}': rename one, or "
                "extract them into folders of their own."
            )
    return sorted(videos.values(), key=lambda video: video.id)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _id(name: Path, flat: bool) -> str:
    if name.name in ("", ".."):
        raise InputError(f"'{name}' is listed, but is the path of a folder: list the videos in it.")
    outside = name.is_absolute() or ".." in name.parts  # where it lies says nothing of where features belong
    found = name.stem if flat or outside else PurePosixPath(name).with_suffix("").as_posix()
    if not is_text(found) or "\0" in str(name):
        raise InputError(f"{str(name)!r} has a character in its name that no list can hold: rename it.")
    if len(found.encode()) > DEEPEST or any(len(part.encode()) > LONGEST for part in found.split("/")):
        raise InputError(f"The name {str(name)[:50]}... is too long to call features by: shorten it.")
    return found


def _listed(path: Path) -> Iterator[str]:
    """The paths on a list, each as it is written."""
    if path.suffix.lower() == ".csv":
        return filter(None, _column(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is neither a video ({', '.join(sorted(SUFFIXES))}) nor a list of them in UTF-8."
        ) from error
    return filter(None, map(str.strip, text.splitlines()))


def _column(path: Path) -> list[str]:
    """The column `path` of a CSV, which is read as one's own lists are."""
    names, rows = read_rows(path, {"path"}.__contains__)
    if names.count("path") != 1:
        raise InputError(f"{path} has no column 'path', or two: its first line must name it.")
    for name in ("start", "end"):
        if name in names:
            raise InputError(
                f"{path} has a column '{name}', but features are of whole files: cut segments into files of "
                "their own and list these."
            )
    return [row["path"] for _, row in rows]


def read_part(text: str) -> tuple[int, int]:
    """Read `2/8`, the second of eight.

    Raises:
        InputError: It is not like that.
    """
    number, _, parts = text.partition("/")
    if not (re.fullmatch("[0-9]{1,6}/[0-9]{1,6}", text) and 1 <= int(number) <= int(parts)):
        raise InputError(f"part is '{text}', but must be like 2/8, the second of eight.")
    return int(number), int(parts)


def part_of(videos: Iterable[Listed], number: int, parts: int) -> list[Listed]:
    """Choose one of several parts, which follows from ids alone: whatever else a machine finds there."""
    return [video for video in videos if _number(video.id) % parts == number - 1]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
