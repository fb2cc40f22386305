"""Which process this is, on which machine, and whether another still runs there."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process, told from all others wherever they run.

    Attributes:
        host: Name of its machine, for people: containers may share one.
        space: Where its number means something: digest of a machine's start and a namespace of processes;
            empty where the system does not say.
        number: Its number there.
        started: When it began, in clock ticks since the machine's start: numbers are used again.
    """

    host: str
    space: str
    number: int
    started: int = 0

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"

    @property
    def alive(self) -> bool | None:
        """Whether it still runs; None where that cannot be known from here."""
        if not self.space or self.space != _space():
            return None
        return _started(self.number) == self.started


def this() -> Process:
    """The process that asks."""
    return Process(socket.gethostname(), _space(), os.getpid(), _started(os.getpid()) or 0)


def number_given() -> int:
    """The number that whoever started this process gave it among those that work together; else 0."""
    words = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return next((int(os.environ[word]) for word in words if os.environ.get(word, "").isdecimal()), 0)


@cache
def _space() -> str:
    try:
        start = (_PROC / "sys/kernel/random/boot_id").read_bytes()
        return hashlib.sha256(start + os.fsencode((_PROC / "self/ns/pid").readlink())).hexdigest()[:12]
    except OSError:  # not Linux
        return ""


def _started(number: int) -> int | None:
    """When the process of a number began; None where there is none, or only its exit status is left."""
    try:
        state, *fields = (_PROC / str(number) / "stat").read_text().rpartition(")")[2].split()  # proc(5)
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(fields[18])
