"""Functions that do to a decoder what a file might do, and tiny files that ask for much."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np

from i3d_lightning.video import frames


def crash(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_once(path: Path) -> str:
    """As if the system had ended it for want of memory."""
    witness = path.with_suffix(".met")
    if not witness.exists():
        witness.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "read"


def hang(path: Path) -> None:
    time.sleep(600)


def compute_for_ever(path: Path) -> None:
    while True:
        pass


def eat(path: Path) -> int:
    return len(np.empty(2**34, np.uint8))


def stumble(path: Path) -> None:
    raise ZeroDivisionError("two\nlines")


def wait(path: Path, seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def read_frames(path: Path, *arguments, **options):
    """Read as usual, but crash on one video and hang on another."""
    if "crashes" in path.name:
        crash(path)
    if "hangs" in path.name:
        compute_for_ever(path)
    return frames.read_frames(path, *arguments, **options)


def damaged(content: bytes, seed: int) -> tuple[str, bytes]:
    """Damage a video in a way that follows from the seed: its header, any bits, or its end."""
    draw = random.Random(seed)
    kind = ("header", "bits", "end")[seed % 3]
    changed = bytearray(content)
    if kind == "header":
        place = draw.randrange(min(700, len(changed)))
        changed[place] = draw.choice((0, 255, changed[place] ^ 1 << draw.randrange(8), draw.randrange(256)))
    elif kind == "bits":
        for _ in range(draw.choice((1, 10, 100))):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    else:
        del changed[draw.randrange(1, len(changed)) :]
    return kind, bytes(changed)
