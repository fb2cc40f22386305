"""Writing files that are either whole or not there, and telling one content from another."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from i3d_lightning import lease
from i3d_lightning.errors import cannot_write
from i3d_lightning.processes import Process, this

_TEMPORARY = re.compile(r"\..+\.(?P<space>[0-9a-f]*)-(?P<number>\d+)-(?P<started>\d+)-[0-9a-f]{8}\.tmp")
_LEFT_FOR = 24 * 3600 * 10**9
"""Nanoseconds after which what a process elsewhere was writing is taken for left behind."""
_tidied: set[Path] = set()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place and move it there once it is whole, and on the disk.

    After a power cut or a kill the file is as it was before or as it is to be, never in between. Nothing is
    written below a folder whose lease this process has lost.

    Args:
        path: Where the file belongs; folders above it are made.
        write: Called with the open file.

    Raises:
        InputError: There is too little disk space, the place cannot be written to, or its lease was lost.
    """
    process = this()
    own = f"{process.space}-{process.number}-{process.started}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name[:50]}.{own}.tmp")
    sink: _Sink | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            _tidy(path.parent, os.fstat(file.fileno()).st_mtime_ns)
            sink = _Sink(file)
            write(cast(BinaryIO, sink))
            sink.flush()
            sink = None
            lease.confirm(path)
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with suppress(OSError):  # which would hide the first error
            temporary.unlink(missing_ok=True)
        ours = error if sink is None else sink.error  # what `write` meets elsewhere is its own
        if isinstance(ours, OSError) and isinstance(error, Exception):
            raise cannot_write(path, ours) from error
        raise


def _tidy(folder: Path, now: int) -> None:
    """Remove what killed processes were writing to a folder; once in a process, as it is looked through."""
    if folder in _tidied:
        return
    _tidied.add(folder)
    for file in folder.iterdir():
        if match := _TEMPORARY.fullmatch(file.name):
            writer = Process("", match["space"], int(match["number"]), int(match["started"]))
            with suppress(OSError):
                long_ago = now - file.stat().st_mtime_ns > _LEFT_FOR
                if writer.alive is False or (writer.alive is None and long_ago):
                    file.unlink()


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk, where its file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be written to, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


class _Sink(io.RawIOBase):
    """Passes on to a file, and keeps the error that this met: whoever writes makes something else of it.

    It has no file number, lest NumPy write past it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        return self._keep(self.file.write, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._keep(self.file.seek, offset, whence)

    def flush(self) -> None:
        self._keep(self.file.flush)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def _keep(self, call: Callable[..., Any], *given: Any) -> Any:
        try:
            return call(*given)
        except OSError as error:
            self.error = self.error or error
            raise
