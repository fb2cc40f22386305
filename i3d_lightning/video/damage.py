"""What decoding notices of damage while it reads a video all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """How much of a video was read.

    Attributes:
        read: Frames that were read.
        of: Frames that should have been.
    """

    read: int
    of: int

    def __str__(self) -> str:
        return f"{self.read} of {self.of} frames"


@dataclass
class Seen:
    """What was noticed within a `watched` block: the worst, or None."""

    damage: Damage | None = None


_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextmanager
def watched() -> Iterator[Seen]:
    """Collect the damage that decoding notices while videos are read inside the block."""
    seen = Seen()
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def note(read: int, of: int) -> None:
    """Tell the innermost open block of damage."""
    seen = _seen.get()
    if seen is not None and (seen.damage is None or read / of < seen.damage.read / seen.damage.of):
        seen.damage = Damage(read, of)
