"""The manifest of a data set: made once, so that its videos are not searched, hashed or probed again.

A manifest is a Parquet file with a row for each video. It holds as long as no folder or list of the data set
changes: adding, removing or replacing a file changes its folder's time. A file that is written to in place is
noticed when it is opened (`video.file`). What is known of each file is kept beside the manifests (`facts`),
so that making another one reads only what is new.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import pyarrow as pa

from i3d_lightning.datasets import folder as videos_in_folders
from i3d_lightning.datasets import imagenet, leaks, parquet
from i3d_lightning.datasets.facts import FACTS, TICK, Facts, describe
from i3d_lightning.datasets.registry import DATASETS, Dataset, read_dataset, root_of
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest
from i3d_lightning.video.file import Segment, content_of
from i3d_lightning.video.timeline import check_segment

log = logging.getLogger(__name__)

VERSION = 8
"""Raised whenever a manifest would hold something else of the same files."""

_ROWS = pa.schema(
    {"part": pa.string(), "id": pa.string(), "label": pa.int64(), "group": pa.string()}
    | {"path": pa.string(), **FACTS, "decoded": pa.int64(), "leaked": pa.bool_()}
    | {"start": pa.float64(), "end": pa.float64()}
)


@dataclass(frozen=True)
class Manifest:
    """One split of a data set as it was scanned.

    Attributes:
        root: Folder of the data set.
        table: A row for each video: part, id, label, group, path below the root, the `Facts` of its file, how
            many of its frames decode where it was checked, whether it leaked, and where a segment begins and
            ends.
        about: All else: the data set's name, split and classes, the part tested on, ids without a file,
            whether near-duplicates were looked for, the digest, and that of the whole of a user's own list.
    """

    root: Path
    table: pa.Table
    about: dict[str, Any]

    @property
    def digest(self) -> str:
        """Identify what the data set holds, wherever it lies.

        That is its classes, ids, labels, groups and contents, and ids without a file: results count them.
        What a check finds is no part of it: nothing is trained otherwise for it.
        """
        return str(self.about["digest"])

    @cached_property
    def data(self) -> DatasetSplit:
        """Give the split, with what is known of each file."""
        about = self.about
        parts: dict[str, list[Video]] = {"train": [], "test": []}
        names = ("part", "start", "end", "id", "path", "label", "group")
        facts = ("sha256", "bytes", "modified", "changed", "leaked")
        columns = (self.table.column(name).to_pylist() for name in (*names, *facts))
        for part, start, end, id_, path, label, group, *known in zip(*columns, strict=True):
            segment = None if start is None else Segment(start, end)
            what = dict(zip(facts, known, strict=True))
            parts[part].append(Video(id_, self.root / path, label, group, segment=segment, **what))
        return DatasetSplit(
            about["dataset"],
            about["split"],
            tuple(about["classes"]),
            tuple(parts["train"]),
            tuple(parts["test"]),
            tuple(about["missing_train"]),
            tuple(about["missing_test"]),
            about["tested_on"],
            about["near_duplicates"],
            about["whole"],
        )


def load_manifest(
    dataset: str, root: Path | None, split: int, folder: Path, *, again: bool = False
) -> Manifest:
    """Load the manifest of one split of a data set, or make it where there is none that still holds.

    Args:
        dataset: Name of a registered data set.
        root: Its folder; the rendered ones know theirs.
        split: Official split, from 1.
        folder: Where manifests are kept.
        again: Make it again, since more is known of its contents; no file is read again.

    Raises:
        InputError: As `registry.read_dataset`, or the folder cannot be written to.
    """
    known = DATASETS[dataset]
    root = root_of(known, root)
    if known.prepare is not None:
        known.prepare(root)
    file = folder / f"{dataset}-{split}-{digest(known.place(root))[:16]}.parquet"
    found, _ = _stored(file, root)
    if found is not None and not again:
        return found
    with _alone(file):
        found, why = _stored(file, root)  # another process may just have made it
        if found is None or again:
            why = why or "its videos were checked"
            log.log(
                logging.DEBUG if again else logging.INFO, "Scanning %s, split %d: %s.", dataset, split, why
            )
            found = _scan(known, root, split, folder)
            parquet.write(file, found.table.replace_schema_metadata({"manifest": json.dumps(found.about)}))
    return found


def _scan(dataset: Dataset, root: Path, split: int, folder: Path) -> Manifest:
    since = time.time_ns()
    watched = _watch(dataset, root, folder)  # before the videos are: what changes meanwhile is then noticed
    data = read_dataset(dataset.name, root, split)
    parts = {"train": data.train, "test": data.test}
    videos = [(part, video) for part, videos in parts.items() for video in videos]
    for parent in {video.path.parent for _, video in videos}:
        watched.setdefault(_below(parent, root), _state(parent))
    facts = describe([video.path for _, video in videos], folder, dataset.images)
    _check_segments(data, facts)
    contents = {v: content_of(facts[v.path].sha256, v.segment) for _, v in videos}
    verdicts, near = leaks.verdicts(folder, {c for v, c in contents.items() if facts[v.path].readable})
    leaked = _leaked(data, facts, {content: verdict.twins for content, verdict in verdicts.items()})
    rows = []
    for part, v in videos:
        known, verdict = facts[v.path], verdicts.get(contents[v])
        if verdict is not None:
            known = known._replace(unreadable=known.unreadable or verdict.unreadable)
        decoded = verdict and verdict.decoded
        where = _below(v.path, root)
        leaks_here = part == "test" and v.id in leaked
        segment = v.segment or (None, None)
        rows.append((part, v.id, v.label, v.group, where, *known, decoded, leaks_here, *segment))
    if lost := [f for f in facts.values() if f.unreadable]:
        log.warning("%d of %d files cannot be read, such as: %s", len(lost), len(facts), lost[0].unreadable)
    identity = [(part, v.id, v.label, v.group, contents[v]) for part, v in videos]
    about = {
        "version": VERSION,
        "dataset": data.name,
        "split": data.split,
        "classes": data.classes,
        "tested_on": data.tested_on,
        "missing_train": data.missing_train,
        "missing_test": data.missing_test,
        "digest": digest(data.classes, data.tested_on, identity, data.missing_train, data.missing_test),
        "near_duplicates": near,
        "whole": data.whole,
        "lost": [_below(v.path, root) for _, v in videos if not facts[v.path].sha256],  # could not be opened
        "since": since,
        "watched": watched,
    }
    return Manifest(root, parquet.table_of(rows, _ROWS), about)


def _check_segments(data: DatasetSplit, facts: Mapping[Path, Facts]) -> None:
    """Refuse a list with a segment that its file does not have."""
    for video in (*data.train, *data.test):
        seconds = facts[video.path].seconds
        if video.segment is not None and seconds is not None:
            check_segment(video.path, video.segment, seconds)


def _leaked(
    data: DatasetSplit, facts: Mapping[Path, Facts], twins: Mapping[str, Collection[str]]
) -> set[str]:
    """Find the test videos that are trained on too, and say how many there are."""
    train, test = (
        [(v.id, facts[v.path].sha256, v.segment) for v in videos if facts[v.path].readable]
        for videos in (data.train, data.test)
    )
    found = leaks.leaks(train, test, twins)
    if found:
        log.warning(
            "%d of %d test videos of %s, split %d, are trained on under another name, such as %s as %s.",
            len(found), len(data.test), data.name, data.split, found[0].test, found[0].train,
        )  # fmt: skip
    return {leak.test for leak in found}


def _stored(file: Path, root: Path) -> tuple[Manifest | None, str]:
    """Read a manifest that still holds; otherwise say why there is none."""
    if not file.exists():
        return None, "there is no manifest of it yet"
    try:
        table = parquet.read(file)
        about = json.loads(table.schema.metadata[b"manifest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The manifest %s is damaged (%s) and is made again.", file, str(error).split("\n")[0])
        file.unlink()
        return None, "its manifest is damaged"
    if about.get("version") != VERSION:
        return None, "its manifest is of another version"
    if changed := _changed(about["watched"], about["since"], root):
        return None, f"{changed} has changed since"
    if back := next((path for path in about["lost"] if (root / path).exists()), None):
        return None, f"{back} can be read now"
    return Manifest(root, table, about), ""


# ------------------------------------------------------------------------------- what a manifest depends on

State = tuple[int, str]
"""Time of change in nanoseconds, and a file's size or a digest of the names in a folder."""


def _watch(dataset: Dataset, root: Path, folder: Path) -> dict[str, State]:
    """Take the state of every folder and list below a root, and of the code that reads them."""
    watched: dict[str, State] = {}
    if dataset.own_list is not None:  # whose videos are all there, wherever: others are not looked for
        watched[str(dataset.own_list)] = _state(dataset.own_list)
    code = getattr(sys.modules.get(dataset.read.__module__), "__file__", None)
    if code is not None:
        watched[code] = _state(Path(code))
    met = {_inode(own) for own in (folder, folder.parent) if own.exists()}
    waiting = [root] if root.is_dir() and dataset.own_list is None else []
    while waiting:
        place = waiting.pop()
        if place != root and _inode(place) in met:  # our own, or a link back
            continue
        met.add(_inode(place))
        state = _state(place)
        has_images = has_others = has_folders = False
        for entry in _entries(place):
            ending = Path(entry.name).suffix.lower()
            if _holds_true(entry.is_dir):
                waiting.append(Path(entry.path))
                has_folders = True
            elif ending in imagenet.SUFFIXES:
                has_images = True
            elif _holds_true(entry.is_file):
                has_others = True
                if ending not in videos_in_folders.SUFFIXES:
                    watched[_below(Path(entry.path), root)] = _state(Path(entry.path))
        if dataset.images or has_others or has_folders or not has_images:  # else flow of a video, as images
            watched[_below(place, root)] = state
    return watched


def _changed(watched: Mapping[str, State], since: int, root: Path) -> Path | None:
    """Find something that is not in the state it was in."""
    for name, (modified, content) in watched.items():
        path = root / name
        try:
            status = path.stat()
        except OSError:
            return path
        now = status.st_mtime_ns
        if not S_ISDIR(status.st_mode) and str(status.st_size) != content:
            return path
        # Changed shortly before the scan, it may have changed again at the same time.
        if now != modified or (now > since - TICK and _state(path)[1] != content):
            return path
    return None


def _state(path: Path) -> State:
    try:
        status = path.stat()
        content = digest(sorted(e.name for e in _entries(path))) if path.is_dir() else str(status.st_size)
    except OSError:  # it is just being taken away
        return 0, ""
    return status.st_mtime_ns, content


def _entries(place: Path) -> list[os.DirEntry[str]]:
    """List what is in a folder, but for hidden files, which programs leave behind."""
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except PermissionError:
        return []


def _holds_true(look: Callable[[], bool]) -> bool:
    """Look at what a folder holds; a link to itself is nothing."""
    try:
        return look()
    except OSError:
        return False


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _below(path: Path, root: Path) -> str:
    """Name a path by where it is below the root, or as it is where it is not."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path.absolute())


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process makes the same file."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_name(f".{file.name}.lock").open("w")
    except OSError as error:
        raise InputError(f"Cannot write to {file.parent}: {error.strerror}; choose another cache.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
