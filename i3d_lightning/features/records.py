"""Which content the features of a video are of, and checksums of their files: a small file for each video.

An id is only a name: another video may have it, or the same file another content by now. So what is kept is
known by the sha256 of the video, as everywhere; its size and times stand beside it, so that thousands of
videos that nobody touched are not read again. A video has a file of its own, since several processes fill a
folder, and none is to write again what the others have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import file_sha256, write_atomically
from i3d_lightning.video.file import VideoFile


@dataclass(frozen=True)
class Record:
    """What is known of a video's features.

    Attributes:
        video: Its file when they were computed, by its absolute path.
        features: The sha256 of each of their files, by its path below the folder.
        partly: Of a video of which only a part could be read: how much, such as "28 of 139 frames".
    """

    video: VideoFile
    features: Mapping[str, str]
    partly: str | None = None

    def of(self, file: VideoFile) -> Record | None:
        """Say the same of a file as it is now, or None where its content is another.

        The file's content is read only where its place, size or times are others. One that is gone, or may
        not be read, is taken for the same as long as nothing says otherwise.
        """
        now = replace(located(file), sha256=self.video.sha256)
        if now == self.video:
            return self
        try:
            return replace(self, video=now) if file.content == self.video.sha256 else None
        except UnreadableVideoError:
            unknown = now.path == self.video.path and file.bytes in (-1, self.video.bytes)
            return self if unknown else None

    def holds(self, root: Path, file: Path) -> bool:
        """Tell whether a file of features is what was written, to the last bit.

        Raises:
            InputError: It is there, but cannot be read.
        """
        try:
            return file_sha256(file) == self.features.get(file.relative_to(root).as_posix())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise cannot_read(file, error) from error


def located(file: VideoFile) -> VideoFile:
    """Name a file by its absolute path."""
    return replace(file, path=file.path.absolute())


def read_record(path: Path) -> Record | None:
    """Read a record; one that is not there or damaged is none.

    Raises:
        InputError: It is there, but cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
        video = VideoFile(**{**found["video"], "path": Path(found["video"]["path"])})
        return Record(video, dict(found["features"]), found["partly"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all.

    Raises:
        InputError: The place cannot be written to, or is full.
    """
    said = {**asdict(record), "video": {**asdict(record.video), "path": str(record.video.path)}}
    text = json.dumps(said, indent=2) + "\n"  # in ASCII: a path may have bytes that are not UTF-8
    write_atomically(path, lambda file: file.write(text.encode()))


def cannot_read(path: Path, error: OSError) -> InputError:
    """Make the error for what is kept in a folder of features and cannot be read."""
    return InputError(f"{path} cannot be read ({error.strerror}): check it, or choose another folder.")
