"""What videos show, from the first frame to the last: each content is decoded once, and what was seen kept.

A perceptual hash says what a frame looks like, twelve and a half times a second: re-encoding or resizing a
video changes a few of its bits, another picture half of them. What is kept is known by its content, wherever
that lies and whatever it is called, and is written down as it is found, so that a check that was stopped goes
on from there.
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import imagehash
import numpy as np
import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from i3d_lightning.datasets import parquet
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.video import boundary
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.damage import Damage, watched
from i3d_lightning.video.decoding import length, probe, read_clip
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.pictures import read_picture

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

VERSION = 2
"""Raised whenever something else would be seen in the same content."""
RATE = 12.5
"""Frames hashed of a second: a copy cut anywhere is off by a 25th of a second at most."""
SIDE = 32
"""Of the square that a frame is reduced to before it is compared, in pixels, as pHash has it."""
FASTEST = 60.0
"""Most frames a second that are looked at; all are decoded."""
_FLAT = 4.0
"""Standard deviation, in grey levels, below which a frame is as good as empty: its hash would be noise."""
_AT_ONCE = 512
"""Frames decoded in one go, so that no budget of one read is spent on a long video."""
_KEPT_EVERY = 20.0
"""Seconds after which what was seen is written down."""
_MANY = 8
"""Parts that are made into one."""
_SAID_EVERY = 30.0
"""Seconds between two lines on how far it is, where there is no terminal."""


class Content(NamedTuple):
    """What a video shows.

    Attributes:
        decoded: Frames that are there and decode without an error.
        of: Frames that there should be.
        unreadable: Why it cannot be read to its end at all.
        looks: A 64-bit pHash of the frame on display at each 1/`RATE` second; 0 where nothing is to be seen.
    """

    decoded: int
    of: int
    unreadable: str | None
    looks: np.ndarray

    @property
    def partly(self) -> Damage | None:
        """How much of it can be read, where that is not all."""
        return Damage(self.decoded, self.of) if self.decoded < self.of and not self.unreadable else None


_SCHEMA = pa.schema(
    {"sha256": pa.string(), "decoded": pa.int64(), "of": pa.int64(), "looks": pa.binary()}
)  # of what cannot be read nothing is kept: it is looked at again


def look_at(files: Mapping[str, VideoFile], folder: Path, images: bool = False) -> dict[str, Content]:
    """Decode contents from end to end, but for those that are known, and for files that changed meanwhile.

    Args:
        files: Where each content is, by what identifies it.
        folder: Where manifests are kept.
        images: Whether they are images.

    Raises:
        InputError: The folder cannot be written to.
    """
    found = _known(folder, files)
    todo = [content for content in files if content not in found]
    fresh: dict[str, Content] = {}
    kept = time.monotonic()
    pool = ThreadPoolExecutor(available_cores())  # decoding is done by processes beyond the boundary
    try:
        seen = pool.map(partial(_look, images=images), [files[content] for content in todo])
        for content, what in zip(todo, with_progress(seen, len(todo), "Decoding"), strict=True):
            if what is not None:
                found[content] = fresh[content] = what
            if time.monotonic() - kept > _KEPT_EVERY:
                _keep(folder, fresh)
                fresh, kept = {}, time.monotonic()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        _keep(folder, fresh)
    _gather(folder)
    return found


def frames_of(file: VideoFile, start: int, frames: int, rate: float) -> np.ndarray:
    """Read consecutive frames of a video, reduced to `SIDE` px squares in grey: uint8 `t h w`.

    Raises:
        UnreadableVideoError: As `decoding.read_clip`.
    """
    clip = read_clip(file.path, start, frames, fps=rate, short_side=SIDE, segment=file.segment)
    return np.stack([_reduced(frame) for frame in clip.permute(1, 2, 3, 0).numpy()])


def picture_of(path: Path) -> np.ndarray:
    """Read an image as `frames_of` reads a video, as one frame.

    Raises:
        UnreadableVideoError: It is none.
    """
    image, _ = boundary.read(read_picture, path, SIDE)
    return _reduced(image)[None]


def _reduced(frame: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).convert("L").resize((SIDE, SIDE)))


def _look(file: VideoFile, images: bool) -> Content | None:
    try:
        seen = _look_at_image(file.path) if images else _look_at_video(file)
    except UnreadableVideoError as error:
        seen = Content(0, 0, str(error), np.zeros(0, np.uint64))
    try:
        file.check()  # after it was read: what was seen is kept by the content that it had before
    except InputError as error:
        log.warning("%s", error)
        return None
    return seen


def _look_at_image(path: Path) -> Content:
    return Content(1, 1, None, _hashes(picture_of(path)))


def _look_at_video(file: VideoFile) -> Content:
    with watched() as seen:
        info = probe(file.path, file.segment)
    rate = min(info.fps, FASTEST)
    total = length(file.path, fps=rate, segment=file.segment)
    ticks = (np.arange(max(1, int(total / rate * RATE))) / RATE * rate + 1e-6).astype(int)
    of, bad, looks = seen.damage.of if seen.damage else info.frames, 0, []
    for start in range(0, total, _AT_ONCE):
        with watched() as seen:
            frames = frames_of(file, start, min(_AT_ONCE, total - start), rate)
        if seen.damage is not None:
            of, bad = max(of, seen.damage.of), bad + info.frames - seen.damage.read
        looks.append(_hashes(frames[ticks[(ticks >= start) & (ticks < start + len(frames))] - start]))
    return Content(max(0, info.frames - bad), of, None, np.concatenate(looks))


def _hashes(frames: np.ndarray) -> np.ndarray:
    return np.array([_hash(frame) for frame in frames], np.uint64)


def _hash(frame: np.ndarray) -> np.uint64:
    if frame.std() < _FLAT:
        return np.uint64(0)
    return np.packbits(imagehash.phash(Image.fromarray(frame)).hash.ravel()).view(np.uint64)[0]


# ------------------------------------------------------------------------- what is known of contents


def _known(folder: Path, wanted: Collection[str]) -> dict[str, Content]:
    known: dict[str, Content] = {}
    for part in _parts(folder):
        try:
            table = parquet.read(part)
        except FileNotFoundError:  # another check has just made one file of several
            continue
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s): videos are decoded again.", part, str(error).split("\n")[0])
            part.unlink(missing_ok=True)
            continue
        for content, decoded, of, looks in zip(*(c.to_pylist() for c in table.columns), strict=True):
            if content in wanted:
                known[content] = Content(decoded, of, None, np.frombuffer(looks, "<u8"))
    return known


def _keep(folder: Path, fresh: Mapping[str, Content]) -> None:
    readable = {content: what for content, what in fresh.items() if not what.unreadable}
    if not readable:
        return
    rows = [(c, w.decoded, w.of, w.looks.astype("<u8").tobytes()) for c, w in readable.items()]
    _write(folder, parquet.table_of(rows, _SCHEMA))


def _gather(folder: Path) -> None:
    """Make one file of the parts that were written while videos were decoded."""
    parts = _parts(folder)
    if len(parts) < _MANY:
        return
    try:
        table = pa.concat_tables([parquet.read(part) for part in parts])
    except (OSError, ValueError):  # said when it is next read
        return
    _write(folder, table)
    for part in parts:
        part.unlink(missing_ok=True)


def _write(folder: Path, table: pa.Table) -> None:
    parquet.write(folder / f"contents-{VERSION}-{secrets.token_hex(8)}.parquet", table)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"contents-{VERSION}-*.parquet"))


def with_progress(things: Iterator[Thing], total: int, what: str) -> Iterator[Thing]:
    """Pass things on as they come, and show how far that is: in a terminal a bar, else a line at times."""
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True), transient=True) as bar:
            yield from bar.track(things, total, description=what)
        return
    began = said = time.monotonic()
    for number, thing in enumerate(things, 1):
        yield thing
        now = time.monotonic()
        if now - said > _SAID_EVERY and number < total:
            rate, said = number / (now - began), now
            left = (total - number) / rate / 60
            log.info("%s: %d of %d, %.1f a second, %.0f min left.", what, number, total, rate, left)
