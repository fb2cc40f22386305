"""What is known of files: each is read once, and what was found kept for as long as the file is as it was."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import pyarrow as pa
from rich.console import Console
from rich.progress import track

from i3d_lightning.datasets import parquet
from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.files import file_sha256
from i3d_lightning.recipe import digest, is_text
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.decoding import probe
from i3d_lightning.video.file import VideoFile

log = logging.getLogger(__name__)

TICK = 2_000_000_000
"""Nanoseconds within which a file system may give two changes the same time."""
_AT_ONCE = 4096
"""Files after which what is known of them is written down, so that an interrupted scan goes on from there."""


class Facts(NamedTuple):
    """What is known of a file.

    Attributes:
        bytes: Its size.
        modified: When its content was last changed, in nanoseconds.
        changed: When anything of it was, which no program can set, in nanoseconds.
        seen: When it was read, in nanoseconds.
        sha256: Of its content; empty where it cannot be read at all.
        frames: Number of frames of a video.
        rate: Its own frame rate, in frames per second.
        width: Width in pixels.
        height: Height in pixels.
        seconds: How long it lasts.
        unreadable: Why it is no video that can be read.
    """

    bytes: int = -1
    modified: int = -1
    changed: int = -1
    seen: int = 0
    sha256: str = ""
    frames: int | None = None
    rate: float | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    unreadable: str | None = None

    @property
    def readable(self) -> bool:
        """Whether it may be a video: that it can be decoded to its end is not said."""
        return bool(self.sha256) and not self.unreadable


FACTS = {
    "bytes": pa.int64(), "modified": pa.int64(), "changed": pa.int64(),
    "seen": pa.int64(), "sha256": pa.string(),
    "frames": pa.int64(), "rate": pa.float64(), "width": pa.int64(), "height": pa.int64(),
    "seconds": pa.float64(), "unreadable": pa.string(),
}  # fmt: skip
_MEMORIES = "files-6-"
"""How files begin in which is kept what is known of files."""
_FILES = pa.schema({"path": pa.string(), **FACTS})


def describe(paths: Sequence[Path], folder: Path, images: bool = False) -> dict[Path, Facts]:
    """Find out all about files, reading those that are not known as they are now."""
    names = {path: str(path.absolute()) for path in paths}
    if not names:
        return {}
    known = _known(folder.glob(f"{_MEMORIES}*.parquet"))
    facts = {path: known[name] for path, name in names.items() if name in known and _holds(path, known[name])}
    todo = [path for path in names if path not in facts]
    common = os.path.commonpath([path.absolute().parent for path in paths])
    memory = folder / f"{_MEMORIES}{digest(common)[:16]}.parquet"
    pool = ThreadPoolExecutor(available_cores())  # hashing and reading packets run outside Python's lock
    try:
        parts = [todo[i : i + _AT_ONCE] for i in range(0, len(todo), _AT_ONCE)]
        read = ((part, pool.map(partial(_read, images=images), part)) for part in parts)
        shown = track(
            ((path, found) for part, results in read for path, found in zip(part, results, strict=True)),
            f"Looking through {common}",
            total=len(todo),
            console=Console(stderr=True),
            transient=True,
            disable=not todo or not sys.stderr.isatty(),
        )
        for number, (path, found) in enumerate(shown, 1):
            facts[path] = found
            if number % _AT_ONCE == 0 or number == len(todo):
                merged = _known([memory]) | {names[p]: facts[p] for p in todo[:number] if is_text(names[p])}
                parquet.write(memory, parquet.table_of([(name, *f) for name, f in merged.items()], _FILES))
    finally:
        pool.shutdown(cancel_futures=True)
    return facts


def identify(videos: Sequence[Path], folder: Path) -> list[VideoFile]:
    """Identify videos of no data set by their contents, which are kept in mind as those of a manifest.

    Args:
        videos: Files.
        folder: Where manifests are kept.

    Raises:
        InputError: The folder cannot be written to.
    """
    facts = describe(videos, folder)
    found = ((video, facts[video]) for video in videos)
    return [VideoFile(v, f.sha256, f.bytes, f.modified, f.changed) for v, f in found]


def _read(path: Path, images: bool) -> Facts:
    seen = time.time_ns()
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):  # opening a pipe waits for ever
            return Facts(seen=seen, unreadable=f"{path} is not a file that can be read: check its path.")
        facts = Facts(status.st_size, status.st_mtime_ns, status.st_ctime_ns, seen, file_sha256(path))
    except OSError as error:
        return Facts(seen=seen, unreadable=f"{path} cannot be read ({error.strerror}): check the file.")
    if images:
        return facts
    try:
        info = probe(path)
    except UnreadableVideoError as error:
        return facts._replace(unreadable=str(error))
    return facts._replace(
        frames=info.frames, rate=info.fps, width=info.width, height=info.height, seconds=info.seconds
    )


def _holds(path: Path, facts: Facts) -> bool:
    """Check that a file is as it was, and was not changed just before it was read."""
    try:
        status = path.stat()
    except OSError:
        return False
    now = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    same = now == (facts.bytes, facts.modified, facts.changed)
    return same and facts.modified < facts.seen - TICK


def remembered(folder: Path) -> dict[str, str]:
    """List the contents of all files that were ever read, by their absolute paths."""
    known = _known(folder.glob(f"{_MEMORIES}*.parquet"))
    return {path: facts.sha256 for path, facts in known.items() if facts.sha256}


def _known(memories: Iterable[Path]) -> dict[str, Facts]:
    """Read what is known of files, by their absolute paths."""
    known: dict[str, Facts] = {}
    for memory in memories:
        if not memory.exists():
            continue
        try:
            table = parquet.read(memory)
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s): files are read again.", memory, str(error).split("\n")[0])
            continue
        paths, *columns = (column.to_pylist() for column in table.columns)
        known |= {path: Facts(*row) for path, *row in zip(paths, *columns, strict=True)}
    return known
