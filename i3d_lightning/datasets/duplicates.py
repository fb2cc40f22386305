"""Videos that show the same: the same content, or nearly: re-encoded, resized, or trimmed.

Clips of one scene look alike without being copies. So near-duplicates are looked for in two steps. A few
frames of each video are looked for among all frames of all others by their hashes, which leaves candidates,
with the time by which one is shifted against the other. Then the two are laid over each other frame by frame,
and what moves in them is compared: of a copy it is the same, of another clip before the same background not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from i3d_lightning.datasets.contents import FASTEST, RATE, Content, frames_of, picture_of, with_progress
from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.decoding import length, probe
from i3d_lightning.video.file import VideoFile

log = logging.getLogger(__name__)

_ASKED = (0.25, 0.5, 0.75)
"""Where in a video the frames are that are looked for in others: a quarter may be cut off at either end."""
_BANDS = 4
"""Parts of a hash, of which one must be equal for two frames to be compared (multi-index hashing)."""
_NEAR = 8
"""Bits of 64 by which the hashes of two frames that are looked for may differ."""
_ALIKE = 7.0
"""Bits by which they may differ on average, over the time that two videos share."""
_SAMPLES = 16
"""Frames of that time that are compared."""
_SHARED = 0.5
"""Share of the shorter video that the two must have in common."""
_AT_ONCE = 2**22
"""Pairs of frames compared in one go: 32 MB of hashes."""

_LONGEST = 20.0
"""Seconds of a video that are laid over the other frame by frame."""
_FEWEST = 50
"""Frames of it, where they are seconds apart."""
_WAYS = 5
"""Shifts for which that is done: by how much is roughly known, but of what repeats itself only roughly."""
_SAME = 0.95
"""Correlation of what moves in two videos from which they are copies."""
_STILL = 1.0
"""Standard deviation over time, in grey levels, below which nothing moves: then pictures are compared."""


class Candidate(NamedTuple):
    """Two videos that look alike.

    Attributes:
        one: Number of the first.
        other: Number of the second.
        shift: What the first shows at tick t the second shows at tick t + shift.
    """

    one: int
    other: int
    shift: int


def near_duplicates(
    contents: Mapping[str, Content], files: Mapping[str, VideoFile], images: bool = False
) -> list[tuple[str, str]]:
    """Find pairs of contents of which one is a copy of the other, or of a good part of it.

    Args:
        contents: What each content shows, by what identifies it.
        files: Where each is.
        images: Whether they are images.
    """
    names = [name for name, content in contents.items() if not content.unreadable]
    found = candidates([contents[name].looks for name in names])
    pairs = [(names[c.one], names[c.other], c.shift) for c in found]
    pool = ThreadPoolExecutor(available_cores())
    try:
        same = pool.map(partial(_same, files=files, images=images), pairs)
        shown = with_progress(same, len(pairs), "Comparing")
        return [(one, other) for (one, other, _), is_same in zip(pairs, shown, strict=True) if is_same]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        _frames.cache_clear()


def candidates(looks: Sequence[np.ndarray]) -> list[Candidate]:
    """Find videos that look alike, by the hashes of their frames at each tick.

    Time and memory grow with the number of videos, not with that of pairs: hashes are sorted, and only
    those are compared of which a quarter is equal.
    """
    lengths = np.array([len(look) for look in looks], np.int64)
    firsts = np.concatenate([[0], np.cumsum(lengths)])
    if not firsts[-1]:
        return []
    frames = np.concatenate(looks)
    owner = np.repeat(np.arange(len(looks)), lengths)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for asked, answer in _met(frames, _asked(looks, firsts)):
        one, other = owner[asked], owner[answer]
        shift = (answer - firsts[other]) - (asked - firsts[one])
        turned = one > other
        one, other = np.where(turned, other, one), np.where(turned, one, other)
        shift = np.where(turned, -shift, shift)
        triples = np.unique(np.stack([one, other, shift])[:, one != other], axis=1)
        distance = _distances(frames, firsts, lengths, *triples)
        for (a, b, by), bits in zip(
            triples[:, distance <= _ALIKE].T.tolist(), distance[distance <= _ALIKE], strict=True
        ):
            best[a, b] = min(best.get((a, b), (np.inf, 0)), (float(bits), by))
    return [Candidate(a, b, by) for (a, b), (_, by) in sorted(best.items())]


def _asked(looks: Sequence[np.ndarray], firsts: np.ndarray) -> np.ndarray:
    """Choose the frames that are looked for, among those on which there is something to be seen."""
    chosen = []
    for first, look in zip(firsts, looks, strict=False):
        seen = np.flatnonzero(look)
        if len(seen):
            chosen.append(first + np.unique(seen[[int(part * len(seen)) for part in _ASKED]]))
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


def _met(frames: np.ndarray, asked: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of frames asked for and found whose hashes are near, some at a time."""
    for band in range(_BANDS):
        keys = (frames >> np.uint64(16 * band)).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        order = order[frames[order] != 0]
        first, last = (np.searchsorted(keys[order], keys[asked], side) for side in ("left", "right"))
        counts = last - first
        parts = np.cumsum(counts) // _AT_ONCE
        for part in np.unique(parts):
            here = parts == part
            many = counts[here]
            question = np.repeat(asked[here], many)
            steps = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            answer = order[np.repeat(first[here], many) + steps]
            near = np.bitwise_count(frames[question] ^ frames[answer]) <= _NEAR
            yield question[near], answer[near]


def _distances(
    frames: np.ndarray,
    firsts: np.ndarray,
    lengths: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    shift: np.ndarray,
) -> np.ndarray:
    """Compute by how many bits two shifted videos differ on average; infinite where they share too little."""
    start = np.maximum(0, -shift)
    shared = np.minimum(lengths[one], lengths[other] - shift) - start
    places = start[:, None] + (np.arange(_SAMPLES) + 0.5) / _SAMPLES * np.maximum(1, shared)[:, None]
    places = np.minimum(places.astype(np.int64), lengths[one][:, None] - 1)
    there = np.clip(places + shift[:, None], 0, lengths[other][:, None] - 1)
    bits = np.bitwise_count(frames[firsts[one][:, None] + places] ^ frames[firsts[other][:, None] + there])
    enough = shared >= _SHARED * np.minimum(lengths[one], lengths[other])
    return np.where(enough, bits.mean(axis=1), np.inf)


def _same(pair: tuple[str, str, int], files: Mapping[str, VideoFile], images: bool) -> bool:
    one, other, shift = pair
    try:
        return likeness(files[one], files[other], shift, images) >= _SAME
    except UnreadableVideoError as error:  # in the meantime
        log.warning("Not compared: %s", error)
        return False


def likeness(one: VideoFile, other: VideoFile, shift: int = 0, images: bool = False) -> float:
    """Correlate what moves in two videos that are laid over each other, from -1 to 1; of images, all.

    Args:
        one: A video.
        other: Another.
        shift: What the first shows at tick t the second shows at about tick t + shift.
        images: Whether they are images.

    Raises:
        UnreadableVideoError: One cannot be read.
    """
    if images:
        return _correlation(picture_of(one.path), picture_of(other.path))
    rate = min(probe(one.path).fps, probe(other.path).fps, FASTEST)
    by, longest = round(shift / RATE * rate), max(_FEWEST, round(_LONGEST * rate))
    ours, theirs = (length(file.path, fps=rate, segment=file.segment) for file in (one, other))
    middle = (max(0, -by) + min(ours, theirs - by)) // 2
    first = max(0, min(middle - longest // 2, ours - longest))
    second = max(0, min(middle + by - longest // 2, theirs - longest))
    x = _frames(one, first, min(ours, longest), rate)
    y = _frames(other, second, min(theirs, longest), rate)
    return max(_correlation(x[i : i + n], y[j : j + n]) for i, j, n in _overlaps(x, y))


@lru_cache(maxsize=128)  # the clips of one scene are compared with each other, one after the other
def _frames(file: VideoFile, start: int, frames: int, rate: float) -> np.ndarray:
    return frames_of(file, start, frames, rate)


def _overlaps(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield the likeliest ways to lay two videos over each other: where each begins, for how many frames."""
    a, b = (frames.reshape(len(frames), -1).astype(np.float32) for frames in (x, y))
    a, b = a - a.mean(0), b - b.mean(0)
    products = a @ b.T
    power_a, power_b = (np.cumsum([0.0, *(frames**2).sum(1)]) for frames in (a, b))
    ways = []
    for by in range(1 - len(a), len(b)):
        i, j = max(0, -by), max(0, by)
        n = min(len(a) - i, len(b) - j)
        if n >= _SHARED * min(len(a), len(b)):
            power = (power_a[i + n] - power_a[i]) * (power_b[j + n] - power_b[j])
            ways.append((np.trace(products, by) / np.sqrt(power + 1e-6), (i, j, n)))
    yield from (way for _, way in sorted(ways, reverse=True)[:_WAYS])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    x, y = one.astype(np.float32), other.astype(np.float32)
    moving_x, moving_y = x - x.mean(0), y - y.mean(0)
    if max(moving_x.std(), moving_y.std()) < _STILL:
        x, y = x.mean(0), y.mean(0)
        moving_x, moving_y = x - x.mean(), y - y.mean()
    power = float(np.sqrt((moving_x**2).sum() * (moving_y**2).sum()))
    return float((moving_x * moving_y).sum()) / power if power else float(np.array_equal(one, other))
