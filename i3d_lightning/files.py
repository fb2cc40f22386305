"""Writing files that are either whole or not there, and telling one content from another."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from i3d_lightning.errors import InputError


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place and move it there once it is whole.

    Args:
        path: Where the file belongs; folders above it are made.
        write: Called with the open file.

    Raises:
        InputError: There is too little disk space, or the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"No disk space is left to write {path}: free some, or choose another folder."
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise InputError(f"Cannot write {path}: {error.strerror}; choose another folder.") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
