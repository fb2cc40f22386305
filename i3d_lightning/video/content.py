"""What a file contains, as its sha256: caches keyed by it survive moves and never mix up two versions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from i3d_lightning.files import file_sha256
from i3d_lightning.plan import InputError


def content_sha256(path: Path) -> str:
    """The sha256 of a file's content, remembered for as long as its size and time of change stay.

    The memory is one small database in the user's cache folder, for all projects; where that cannot
    be written, hashes last as long as the process.

    Raises:
        InputError: The file cannot be read.
    """
    path = Path(path).resolve()
    try:
        status = path.stat()
        return _remembered(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file.") from error


@cache
def _remembered(path: str, size: int, modified: int) -> str:
    try:
        with _memory() as memory:
            known = memory.execute(
                "SELECT sha256 FROM files WHERE path = ? AND size = ? AND modified = ?",
                (path, size, modified),
            ).fetchone()
            if known:
                return str(known[0])
    except (sqlite3.Error, OSError):
        return file_sha256(Path(path))
    digest = file_sha256(Path(path))
    with contextlib.suppress(sqlite3.Error, OSError), _memory() as memory:
        memory.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (path, size, modified, digest))
    return digest


@contextlib.contextmanager
def _memory() -> Iterator[sqlite3.Connection]:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "i3d-lightning"
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(root / "contents.sqlite", timeout=30)) as memory, memory:
        memory.execute("PRAGMA synchronous = OFF")  # a memory that is lost is only recomputed
        memory.execute(
            "CREATE TABLE IF NOT EXISTS files "
            "(path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, sha256 TEXT)"
        )
        yield memory
