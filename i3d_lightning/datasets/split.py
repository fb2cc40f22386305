"""What a data set is: videos, labels and groups, and which of them train and which test."""

from __future__ import annotations

import io
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest, is_text
from i3d_lightning.video.file import Segment, VideoFile, content_of, overlap

log = logging.getLogger(__name__)


HELD_OUT = "held out of train"
"""What is tested on where a part of the training videos takes the place of the test videos."""
DEVELOPMENT = "development"
"""What is tested on where a data set is there to choose settings on, its test videos too."""


@dataclass(frozen=True)
class Video:
    """One labelled video. What identifies its file is known from the manifest of its data set.

    Attributes:
        id: Its name in the data set's lists.
        path: Its file, which others may be other segments of.
        label: Index of its class.
        group: Videos of one group share a source: they must never be divided between training and
            validation, and are what statistics resample; a video of which no source is known is its own.
        sha256: Of the file.
        bytes: The file's size.
        modified: When the file's content was last changed, in nanoseconds.
        changed: When anything of the file was, in nanoseconds.
        leaked: Whether it is tested on though its content, or nearly that, is trained on too.
        segment: The part of the file that it is; None is all of it.
    """

    id: str
    path: Path
    label: int
    group: str
    sha256: str = ""
    bytes: int = -1
    modified: int = -1
    changed: int = -1
    leaked: bool = False
    segment: Segment | None = None

    @property
    def file(self) -> VideoFile:
        """Its file, or its part of one, to be read."""
        return VideoFile(self.path, self.sha256, self.bytes, self.modified, self.changed, self.segment)

    @property
    def content(self) -> str:
        """What it shows, see `content_of`; nothing where the file is not known."""
        return content_of(self.sha256, self.segment)


@dataclass(frozen=True)
class DatasetSplit:
    """The videos of one official split that are present, and the names of those that are not.

    Attributes:
        name: Name of the data set.
        split: Number of the split, from 1.
        classes: All official classes, whether or not videos of them are present.
        train: Videos to train on.
        test: Videos to test on.
        missing_train: Ids on the official training list that have no file.
        missing_test: Ids on the official test list that have no file.
        tested_on: What the data set itself calls the part tested on.
        near_duplicates: Whether near-duplicates were looked for, so that `Video.leaked` tells of them too.
        whole: Of a user's own list, what identifies all of it, so that its splits are known to be of one.
    """

    name: str
    split: int
    classes: tuple[str, ...]
    train: tuple[Video, ...]
    test: tuple[Video, ...]
    missing_train: tuple[str, ...] = ()
    missing_test: tuple[str, ...] = ()
    tested_on: str = "test"
    near_duplicates: bool = False
    whole: str = ""

    @property
    def digest(self) -> str:
        """Identify what it holds, wherever that lies: of videos their names, labels, groups and contents."""
        parts = (("train", self.train), ("test", self.test))
        videos = [(part, v.id, v.label, v.group, v.content) for part, videos in parts for v in videos]
        return digest(self.classes, self.tested_on, videos, self.missing_train, self.missing_test)


def read_text(file: Path) -> str:
    """Read the text of a list.

    Raises:
        InputError: It cannot be read, or is not UTF-8.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the file.") from error
    head = content[:2]
    if head in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:  # a mark, or the other half of an ASCII letter
        order = "be" if head[0] in (0, 0xFE) else "le"
        raise InputError(f"{file} is UTF-16 text: convert it, by iconv -f utf-16{order} -t utf-8.")
    try:
        return io.TextIOWrapper(io.BytesIO(content), "utf-8-sig").read()  # some editors begin with a mark
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8 text: convert it, by iconv -f latin1 -t utf-8 for one."
        ) from error


def read_lines(file: Path) -> list[tuple[str, str]]:
    """Read the lines of a list that say something, each with where it is.

    Raises:
        InputError: As `read_text`.
    """
    lines = enumerate(read_text(file).split("\n"), 1)
    return [(f"{file}, line {number}", line.strip()) for number, line in lines if line.strip()]


def below(name: str, where: str) -> str:
    """Check that a name in a list leads to a place below the data set's folder.

    Args:
        name: What the list says.
        where: Which list and line.

    Raises:
        InputError: It leads out, or is no path.
    """
    parts = name.split("/")
    if not is_text(name) or not all(parts) or {".", ".."} & set(parts):
        raise InputError(
            f"{where} names {name!r}, which is no path below the data set's folder: mend the list."
        )
    return name


def checked(split: DatasetSplit) -> DatasetSplit:
    """Make sure that every video is there once, with one label, to train or to test on.

    A line that a list repeats is taken once, with a warning.

    Raises:
        InputError: A video has two labels, is both trained and tested on, if only in part, or has a name that
            is not UTF-8; or a class is there twice.
    """
    if twice := [name for name, count in Counter(split.classes).items() if count > 1]:
        raise InputError(f"{split.name} has the class '{twice[0]}' twice: mend its class list.")
    met: dict[tuple[Path, Segment | None], tuple[str, Video]] = {}
    parts: dict[str, list[Video]] = {"training": [], "test": []}
    for part, videos in zip(parts, (split.train, split.test), strict=True):
        for video in videos:
            _check_name(video)
            before = met.setdefault((video.path, video.segment), (part, video))
            if before[1] is video:
                parts[part].append(video)
            elif before == (part, video):
                continue
            elif before[1].label != video.label:
                names = [split.classes[v.label] for v in (before[1], video)]
                raise InputError(
                    f"{split.name} lists {video.id} as '{names[0]}' and as '{names[1]}': mend it."
                )
            elif before[0] != part:
                raise InputError(f"{split.name} lists {video.id} to train and to test on: mend its lists.")
            else:
                raise InputError(
                    f"{video.path} is both {before[1].id} and {video.id} of {split.name}: mend it."
                )
    _check_apart(split)
    for part, videos in zip(parts, (split.train, split.test), strict=True):
        if repeated := len(videos) - len(parts[part]):
            log.warning("%s lists %d %s videos twice; each counts once.", split.name, repeated, part)
    return replace(split, train=tuple(parts["training"]), test=tuple(parts["test"]))


def _check_apart(split: DatasetSplit) -> None:
    """Refuse to test on moments of a file that are trained on, whatever links it is reached by.

    A whole file under two names is known by its content, with its copies (see `leaks`).
    """
    if not any(video.segment for video in (*split.train, *split.test)):
        return
    real = cache(os.path.realpath)
    trained: dict[str, list[Video]] = defaultdict(list)
    for video in split.train:
        trained[real(video.path)].append(video)
    for video in split.test:
        for other in trained.get(real(video.path), ()):
            if (video.segment or other.segment) and overlap(video.segment, other.segment):
                raise InputError(
                    f"{split.name} trains on {other.id} and tests on {video.id}, which overlap: mend it."
                )


def _check_name(video: Video) -> None:
    """Refuse a name that no result file could hold."""
    name = os.fspath(video.path)
    if not is_text(name) or not is_text(video.id):
        raise InputError(f"The file name {name!r} is not UTF-8 text: rename the file (convmv does many).")


def is_file(path: Path) -> bool:
    """Tell whether there is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def present(videos: Iterable[Video]) -> tuple[tuple[Video, ...], tuple[str, ...]]:
    """Part listed videos into those with a file and the ids of those without."""
    listed = list(videos)
    there = tuple(video for video in listed if is_file(video.path))
    found = {video.id for video in there}
    return there, tuple(video.id for video in listed if video.id not in found)


def first_folder(root: Path, names: Iterable[str], pattern: str, what: str) -> Path:
    """Find the first of the usual folders below `root` ("." for itself) that has files of a pattern.

    Raises:
        InputError: None has.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds the data set.")
    names = list(names)
    for name in names:
        if next((root / name).glob(pattern), None) is not None:
            return root / name
    looked = ", ".join(f"{name}/{pattern}".removeprefix("./") for name in names)
    raise InputError(f"No {what} below {root}: looked for {looked}.")
