"""What was missing or corrupt in videos that were read all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """How much of a video could be read.

    Attributes:
        read: Frames of the file that are there and decode without an error, as far as they were looked at.
        of: Frames that it should have.
    """

    read: int
    of: int

    def __str__(self) -> str:
        return f"{self.read} of {self.of} frames"


class Seen:
    """What was noticed within a `watched` block.

    Attributes:
        damage: The worst of it; None where everything was sound.
    """

    damage: Damage | None = None

    def add(self, found: Damage) -> None:
        if self.damage is None or found.read * self.damage.of < self.damage.read * found.of:
            self.damage = found


_watching: ContextVar[tuple[Seen, ...]] = ContextVar("watching", default=())


@contextmanager
def watched() -> Iterator[Seen]:
    """Collect what is noticed while videos are read within the block, also within blocks inside it."""
    seen = Seen()
    token = _watching.set((*_watching.get(), seen))
    try:
        yield seen
    finally:
        _watching.reset(token)


def note(read: int, of: int) -> None:
    """Say that so many frames of a video are sound, to whoever watches."""
    for seen in _watching.get():
        seen.add(Damage(read, of))
