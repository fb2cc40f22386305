"""A video's file, or a part of it, with what the manifest of its data set knows of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import file_sha256


class ChangedFileError(InputError):
    """A file is not what the manifest of its data set says: results would be taken for another video's."""


class Segment(NamedTuple):
    """A part of a video.

    Attributes:
        start: Where it begins, in seconds after the first frame appears.
        end: Where it ends, likewise.
    """

    start: float
    end: float

    def __str__(self) -> str:
        """As a URL names it (https://www.w3.org/TR/media-frags/), exactly."""
        return "t=" + ",".join(repr(time).removesuffix(".0") for time in self)


def overlap(one: Segment | None, other: Segment | None) -> bool:
    """Tell whether two parts of a file share a moment; None is all of it."""
    return one is None or other is None or (one.start < other.end and other.start < one.end)


def content_of(sha256: str, segment: Segment | None) -> str:
    """Identify what a file, or a part of it, shows: by the sha256 of the file where that is all of it."""
    return hashlib.sha256(f"{sha256}#{segment}".encode()).hexdigest() if sha256 and segment else sha256


@dataclass(frozen=True)
class VideoFile:
    """A file and what identifies it; what is not given is unknown and not compared.

    Attributes:
        path: Where it is.
        sha256: Of its content.
        bytes: Its size.
        modified: When its content was last changed, in nanoseconds, as it says itself: programs can set that.
        changed: When anything of it was last changed, in nanoseconds, which the file system alone sets.
        segment: The part of it that is the video; None is all of it.
    """

    path: Path
    sha256: str = ""
    bytes: int = -1
    modified: int = -1
    changed: int = -1
    segment: Segment | None = None

    @classmethod
    def of(cls, path: Path) -> VideoFile:
        """Take a loose file as it is now; one that is not there says so once it is read."""
        try:
            status = path.stat()
        except OSError:
            return cls(path)
        return cls(path, bytes=status.st_size, modified=status.st_mtime_ns, changed=status.st_ctime_ns)

    def check(self) -> None:
        """Compare the file with what is known of it; to be called whenever it is opened.

        One of the same size and time that was touched all the same, moved or replaced, is read to see whether
        its content is the same, once in a process.

        Raises:
            ChangedFileError: It is of another size, time or content, or gone.
        """
        if self.bytes < 0:
            return
        try:
            status = self.path.stat()
        except OSError as error:
            raise ChangedFileError(
                f"{self.path} was there when its data set was scanned, but cannot be found now "
                f"({error.strerror}): bring it back, or start again without it."
            ) from error
        what = ""
        if status.st_size != self.bytes:
            what = f"{self.bytes} bytes then, {status.st_size} now"
        elif status.st_mtime_ns != self.modified:
            what = "as large, but written to since"
        elif self.sha256 and status.st_ctime_ns != self.changed and self._now(status) != self.sha256:
            what = "as large and of the same time, but another"
        if what:
            raise ChangedFileError(
                f"{self.path} has changed since its data set was scanned ({what}): bring the old file back, "
                f'or have the data set scanned again by touch "{self.path.parent}".'
            )

    @property
    def content(self) -> str:
        """What it shows, its identity wherever something is kept of it, see `content_of`.

        Where the sha256 of the file is not known, it is computed now.

        Raises:
            UnreadableVideoError: The file cannot be read.
        """
        if self.sha256:
            return content_of(self.sha256, self.segment)
        try:
            status = self.path.stat()
            if not S_ISREG(status.st_mode):  # opening a pipe waits for ever
                raise UnreadableVideoError(f"{self.path} is not a file that can be read: check its path.")
        except OSError as error:
            raise self._unreadable(error) from error
        return content_of(self._now(status), self.segment)

    def _now(self, status: os.stat_result) -> str:
        try:
            return _sha256(self.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> UnreadableVideoError:
        return UnreadableVideoError(f"{self.path} cannot be read ({error.strerror}): check the file.")


@lru_cache(maxsize=65536)
def _sha256(path: Path, size: int, modified: int, changed: int) -> str:
    return file_sha256(path)
