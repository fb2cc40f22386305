"""The boundary around decoding: what a file from anywhere does stays in a process that can be ended.

Everything that opens or decodes a video or an image goes through here. Of a file that crashes its decoder or
takes too long one sentence is left, in `UnreadableVideoError`, and it is not touched again.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.video import budgets, decoder
from i3d_lightning.video.damage import note
from i3d_lightning.video.decoder import Answer, Request

log = logging.getLogger(__name__)

CPU_SECONDS, SECONDS = budgets.CPU_SECONDS, budgets.SECONDS
_GRACE = 30
"""Seconds after which a decoder that should have been ended, but hangs in the kernel, is left behind."""
_START = "import sys; sys.path[:] = {path!r}; from i3d_lightning.video.decoder import nurse; nurse({control})"

_nursery: socket.socket | None = None
_starting = threading.Lock()
_own = threading.local()  # a decoder for each thread
_condemned: dict[bytes, bytes] = {}


def ask(function: Callable[..., Any], path: Path, *arguments: Any) -> Any:
    """Call a function of a file where it can do no harm; what was damaged is noted.

    Args:
        function: Importable, as are its arguments and what it returns.
        path: The file.
        arguments: Given to the function after the path.

    Raises:
        UnreadableVideoError: The file is missing, empty, or cannot be read at bearable cost.
        InputError: The function raised it.
    """
    value, _ = _run(function, path, arguments, makes_array=False)
    return value


def read(function: Callable[..., Any], path: Path, *arguments: Any) -> tuple[np.ndarray, Any]:
    """Call a function that makes an array with the `empty` that it is given, as `ask`.

    Returns:
        The array, which is overwritten by the thread's next call, and what else the function returned.
    """
    (shape, said), memory = _run(function, path, arguments, makes_array=True)
    assert memory is not None
    return np.frombuffer(memory, np.uint8, int(np.prod(shape))).reshape(shape), said


def start() -> None:
    """Start what decoders come from, where it has not been; best before processes that read are forked."""
    global _nursery
    with _starting:
        if _nursery is not None:
            return
        ours, theirs = socket.socketpair()
        with theirs:
            command = _START.format(path=sys.path, control=theirs.fileno())
            limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # it must not have threads to fork
            limits |= {"OPENCV_IO_MAX_IMAGE_PIXELS": str(budgets.IMAGE_PIXELS)}
            try:
                subprocess.Popen(
                    [sys.executable, "-c", command],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=os.environ | limits,
                    start_new_session=True,  # Ctrl-C is for us
                ).returncode = 0  # it ends by itself, when we do
            except OSError as error:
                raise InputError(
                    f"Cannot start a process to decode in ({error.strerror}): allow more."
                ) from error
        _nursery = ours


def _run(
    function: Callable[..., Any], path: Path, arguments: tuple[Any, ...], makes_array: bool
) -> tuple[Any, mmap.mmap | None]:
    path = path.absolute()  # decoders may have been born in another folder than we are in now
    file = _digest(path)
    request = Request(function, path, arguments, makes_array, file, CPU_SECONDS, SECONDS)
    again = False
    while file not in _condemned:
        began = time.monotonic()
        ours = _decoder()
        try:
            answer = ours.ask(request)
        except (EOFError, OSError, TimeoutError):
            _drop_decoder()
            if time.monotonic() - began >= min(request.cpu_seconds, request.seconds):
                _condemn(file, decoder.TOO_SLOW)
            elif again:
                _condemn(file, decoder.CRASHED)
            again = True  # the system may have ended it for want of memory that others took
            continue
        except BaseException:  # we are interrupted, and the answer is still to come
            _drop_decoder()
            raise
        if answer.condemned:
            _condemned[file] = answer.condemned
            continue
        if answer.error is not None:
            raise answer.error
        if answer.damage is not None:
            note(answer.damage.read, answer.damage.of)
        return answer.value, ours.memory
    if _condemned[file] == decoder.TOO_SLOW:
        raise UnreadableVideoError(f"{path} takes too long to decode (over {CPU_SECONDS:g} s): leave it out.")
    raise UnreadableVideoError(f"{path} crashes the decoder: download it again or leave it out.")


def _digest(path: Path) -> bytes:
    """Digest which file it is and how it is now.

    Raises:
        UnreadableVideoError: It is none that can be read: opening pipes and devices may never end.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise UnreadableVideoError(f"{path} is not a file that can be read: check its path.")
    if status.st_size == 0:
        raise UnreadableVideoError(f"{path} is empty: download it again or leave it out.")
    return hashlib.sha256(f"{path!r} {status.st_size} {status.st_mtime_ns}".encode()).digest()


def _condemn(file: bytes, why: bytes) -> None:
    """Never touch a file again: neither here, nor in processes that are started later."""
    _condemned[file] = why
    assert _nursery is not None
    try:
        _nursery.sendall(why + file)
    except OSError:  # it is gone, and the next one will not know
        log.debug("There is no nursery to tell of a file that cannot be read.")


# ----------------------------------------------------------------------------------------- a thread's decoder


class _Decoder:
    """A thread's connection to its decoder."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._order(theirs)
            self.connection = Connection(ours.detach())
        self.memory: mmap.mmap | None = None

    @staticmethod
    def _order(theirs: socket.socket) -> None:
        global _nursery
        for attempt in (1, 2):
            start()
            assert _nursery is not None
            try:
                socket.send_fds(_nursery, [decoder.WANTED.ljust(decoder.RECORD)], [theirs.fileno()])
                return
            except OSError:  # somebody ended it
                if attempt == 2:
                    raise
                _nursery = None

    def ask(self, request: Request) -> Answer:
        self.connection.send(request)
        if not self.connection.poll(request.seconds + _GRACE):
            raise TimeoutError
        answer = self.connection.recv()
        if answer.new_memory:
            descriptor = reduction.recv_handle(self.connection)
            try:
                self.memory = mmap.mmap(descriptor, answer.new_memory, prot=mmap.PROT_READ)
            finally:
                os.close(descriptor)
        return answer

    def close(self) -> None:
        """Let the decoder go, also where a process forked from this one holds the connection, too."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def _decoder() -> _Decoder:
    if not hasattr(_own, "decoder"):
        _own.decoder = _Decoder()
    return _own.decoder


def _drop_decoder() -> None:
    if hasattr(_own, "decoder"):
        _own.decoder.close()
        del _own.decoder


def _in_a_new_process() -> None:
    """A process that is forked has decoders of its own, from the same nursery."""
    global _own, _starting
    _own, _starting = threading.local(), threading.Lock()


os.register_at_fork(after_in_child=_in_a_new_process)
