"""The manifest of a data set: made once, so that its videos are not searched, hashed or probed again.

A manifest is a Parquet file with a row for each video. It holds as long as no folder or list of the data set
changes: adding, removing or replacing a file changes its folder's time. A file that is written to in place is
noticed when it is opened (`video.file`). What is known of each file is kept beside the manifests, so that
making another one reads only what is new.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from i3d_lightning.datasets import folder as videos_in_folders
from i3d_lightning.datasets import imagenet, leaks
from i3d_lightning.datasets.registry import DATASETS, Dataset, read_dataset, root_of
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import file_sha256, write_atomically
from i3d_lightning.recipe import digest
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.decoding import probe
from i3d_lightning.video.file import VideoFile

log = logging.getLogger(__name__)

VERSION = 5
"""Raised whenever a manifest would hold something else of the same files."""

_TICK = 2_000_000_000
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
    unreadable: str | None = None

    @property
    def readable(self) -> bool:
        """Whether it may be a video: that it can be decoded to its end is not said."""
        return bool(self.sha256) and not self.unreadable


_FACTS = {
    "bytes": pa.int64(), "modified": pa.int64(), "changed": pa.int64(),
    "seen": pa.int64(), "sha256": pa.string(),
    "frames": pa.int64(), "rate": pa.float64(), "width": pa.int64(), "height": pa.int64(),
    "unreadable": pa.string(),
}  # fmt: skip
_MEMORIES = "files-4-"
"""How files begin in which is kept what is known of files."""
_FILES = pa.schema({"path": pa.string(), **_FACTS})
_ROWS = pa.schema(
    {"part": pa.string(), "id": pa.string(), "label": pa.int64(), "group": pa.string()}
    | {"path": pa.string(), **_FACTS, "decoded": pa.int64(), "leaked": pa.bool_()}
)


@dataclass(frozen=True)
class Manifest:
    """One split of a data set as it was scanned.

    Attributes:
        root: Folder of the data set.
        table: A row for each video: part, id, label, group, path below the root, its `Facts`, how many of its
            frames decode where it was checked, and whether it leaked.
        about: All else: the data set's name, split and classes, the part tested on, ids without a file,
            whether near-duplicates were looked for, and the digest.
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
        names = ("part", "id", "path", "label", "group", "sha256", "bytes", "modified", "changed", "leaked")
        columns = (self.table.column(name).to_pylist() for name in names)
        for part, id_, path, label, group, *facts in zip(*columns, strict=True):
            parts[part].append(Video(id_, self.root / path, label, group, *facts))
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
    file = folder / f"{dataset}-{split}-{digest(str(root.resolve()))[:16]}.parquet"
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
            _write(file, found.table.replace_schema_metadata({"manifest": json.dumps(found.about)}))
    return found


def identify(videos: Sequence[Path], folder: Path) -> list[VideoFile]:
    """Identify videos of no data set by their contents, which are kept in mind as those of a manifest.

    Args:
        videos: Files.
        folder: Where manifests are kept.

    Raises:
        InputError: The folder cannot be written to.
    """
    facts = _describe(videos, folder)
    found = ((video, facts[video]) for video in videos)
    return [VideoFile(v, f.sha256, f.bytes, f.modified, f.changed) for v, f in found]


def _scan(dataset: Dataset, root: Path, split: int, folder: Path) -> Manifest:
    since = time.time_ns()
    watched = _watch(dataset, root, folder)  # before the videos are: what changes meanwhile is then noticed
    data = read_dataset(dataset.name, root, split)
    parts = {"train": data.train, "test": data.test}
    videos = [(part, video) for part, videos in parts.items() for video in videos]
    for parent in {video.path.parent for _, video in videos}:
        watched.setdefault(_below(parent, root), _state(parent))
    facts = _describe([video.path for _, video in videos], folder, dataset.images)
    verdicts, near = leaks.verdicts(folder, {f.sha256 for f in facts.values() if f.readable})
    leaked = _leaked(data, facts, {content: verdict.twins for content, verdict in verdicts.items()})
    rows = []
    for part, v in videos:
        known, verdict = facts[v.path], verdicts.get(facts[v.path].sha256)
        if verdict is not None:
            known = known._replace(unreadable=known.unreadable or verdict.unreadable)
        decoded = verdict and verdict.decoded
        where = _below(v.path, root)
        rows.append((part, v.id, v.label, v.group, where, *known, decoded, part == "test" and v.id in leaked))
    if lost := [f for f in facts.values() if f.unreadable]:
        log.warning("%d of %d files cannot be read, such as: %s", len(lost), len(facts), lost[0].unreadable)
    identity = [(part, v.id, v.label, v.group, facts[v.path].sha256) for part, v in videos]
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
        "lost": [_below(v.path, root) for _, v in videos if not facts[v.path].sha256],  # could not be opened
        "since": since,
        "watched": watched,
    }
    return Manifest(root, _table(rows, _ROWS), about)


def _leaked(
    data: DatasetSplit, facts: Mapping[Path, Facts], twins: Mapping[str, Collection[str]]
) -> set[str]:
    """Find the test videos that are trained on too, and say how many there are."""
    train, test = (
        [(v.id, facts[v.path].sha256) for v in videos if facts[v.path].readable]
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
        table = pq.read_table(file, page_checksum_verification=True)
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
    code = getattr(sys.modules.get(dataset.read.__module__), "__file__", None)
    if code is not None:
        watched[code] = _state(Path(code))
    met = {_inode(own) for own in (folder, folder.parent) if own.exists()}
    waiting = [root] if root.is_dir() else []
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
        if now != modified or (now > since - _TICK and _state(path)[1] != content):
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


# ------------------------------------------------------------------------------------ what is known of files


def _describe(paths: Sequence[Path], folder: Path, images: bool = False) -> dict[Path, Facts]:
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
                merged = _known([memory]) | {names[p]: facts[p] for p in todo[:number]}
                _write(memory, _table([(name, *f) for name, f in merged.items()], _FILES))
    finally:
        pool.shutdown(cancel_futures=True)
    return facts


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
    return facts._replace(frames=info.frames, rate=info.fps, width=info.width, height=info.height)


def _holds(path: Path, facts: Facts) -> bool:
    """Check that a file is as it was, and was not changed just before it was read."""
    try:
        status = path.stat()
    except OSError:
        return False
    now = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    same = now == (facts.bytes, facts.modified, facts.changed)
    return same and facts.modified < facts.seen - _TICK


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
            table = pq.read_table(memory, schema=_FILES, page_checksum_verification=True)
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s): files are read again.", memory, str(error).split("\n")[0])
            continue
        paths, *columns = (column.to_pylist() for column in table.columns)
        known |= {path: Facts(*row) for path, *row in zip(paths, *columns, strict=True)}
    return known


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _write(file: Path, table: pa.Table) -> None:
    write_atomically(file, lambda sink: pq.write_table(table, sink, write_page_checksum=True))


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
