"""The processes that open and decode files: whatever a file does to one, it can be ended.

A nursery, which knows no PyTorch and so starts in a sixth of a second, forks a decoder for whoever
sends it one end of a pair of sockets. A decoder serves requests until the other end is closed. The kernel
ends it when a request takes too long; nobody has to watch it.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.video import budgets, frames  # noqa: F401 - decoders are born knowing frames
from i3d_lightning.video.container import reason
from i3d_lightning.video.damage import Damage, watched

RECORD = 33
"""Bytes of a message to the nursery: what it is about and the digest of a file."""
WANTED, TOO_SLOW, CRASHED = b"w", b"s", b"c"
"""A decoder is wanted, and the socket for it comes along; a file took too long; it crashed its decoder."""

_KEPT = 2**28
"""Bytes of shared memory that a decoder keeps from one request to the next."""


@dataclass(frozen=True)
class Request:
    """What a decoder is asked for.

    Attributes:
        function: Reads the file, given its path, the arguments and, if it makes an array, `empty`.
        path: The file.
        arguments: The others.
        makes_array: Whether the first of what it returns is an array that `empty` made.
        file: Digest of the file as it is now.
        cpu_seconds: Computing time that it may take.
        seconds: Time that it may take.
    """

    function: Callable[..., Any]
    path: Path
    arguments: tuple[Any, ...]
    makes_array: bool
    file: bytes
    cpu_seconds: float
    seconds: float


class Answer(NamedTuple):
    """What a decoder found.

    Attributes:
        value: What the function returned; of an array its shape.
        error: What it raised.
        damage: What it noticed.
        condemned: Why the file is not touched again: TOO_SLOW or CRASHED.
        new_memory: Size of the shared memory, whose file descriptor follows, where it is new.
    """

    value: Any = None
    error: InputError | None = None
    damage: Damage | None = None
    condemned: bytes = b""
    new_memory: int = 0


def nurse(control: int) -> None:
    """Fork decoders until all processes that hold the other end of the control socket are gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # our user decides whether to go on, and we leave with it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for decoders
    silence = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silence, standard)  # for what libraries say when they crash
    condemned: dict[bytes, bytes] = {}
    with socket.socket(fileno=control) as orders:
        while True:
            select.select([orders], [], [])
            record, descriptors, _, _ = socket.recv_fds(orders, RECORD, 1, socket.MSG_WAITALL)
            if len(record) < RECORD:
                os.killpg(0, signal.SIGKILL)  # with the decoders, even if they are at work
            if record[:1] != WANTED:
                condemned[record[1:]] = record[:1]
                continue
            (descriptor,) = descriptors
            if os.fork() == 0:
                try:
                    orders.close()
                    _serve(Connection(descriptor), condemned)
                finally:
                    os._exit(0)
            os.close(descriptor)


def _serve(connection: Connection, condemned: dict[bytes, bytes]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (budgets.MEMORY, budgets.MEMORY))
    memory = _Memory()
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        # Both signals end a process that does not handle them, whatever it is at.
        signal.setitimer(signal.ITIMER_PROF, request.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, request.seconds)
        why = condemned.get(request.file)
        answer = Answer(condemned=why) if why else _answer(request, memory)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        new = memory.take_new()
        connection.send(answer._replace(new_memory=memory.size if new else 0))
        if new:
            reduction.send_handle(connection, memory.file, None)


def _answer(request: Request, memory: _Memory) -> Answer:
    """Do what is asked; whatever goes wrong, it is the file's fault."""
    path = request.path
    try:
        with watched() as seen:
            if request.makes_array:
                array, said = request.function(path, *request.arguments, empty=memory.empty)
                value: Any = (array.shape, said)
            else:
                value = request.function(path, *request.arguments)
        return Answer(value, damage=seen.damage)
    except InputError as error:
        return Answer(error=type(error)(*error.args))
    except MemoryError:
        why = f"it takes more than {budgets.MEMORY >> 30} GiB of memory"
    except Exception as error:
        why = f"{type(error).__name__}: {reason(error)}"
    return Answer(
        error=UnreadableVideoError(f"{path} cannot be read ({why}): download it again or leave it out.")
    )


class _Memory:
    """Memory shared with whoever asks, which arrays are written to."""

    def __init__(self) -> None:
        self.size, self.file = 0, -1
        self._map: mmap.mmap | None = None
        self._new = False

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Make an array of bytes in it."""
        size = int(np.prod(shape))
        if self._map is None or self.size < size or self.size > max(size, _KEPT):
            if self.file >= 0:
                os.close(self.file)
            self._map = None
            self.file, self.size, self._new = _memory_file(), size, True
            os.ftruncate(self.file, size)
            self._map = mmap.mmap(self.file, size)
        return np.frombuffer(self._map, np.uint8, size).reshape(shape)

    def take_new(self) -> bool:
        """Say whether it is another one than the last time."""
        new, self._new = self._new, False
        return new


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
