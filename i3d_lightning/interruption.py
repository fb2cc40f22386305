"""TERM, Ctrl-C and USR1: to stop without losing what was done, and within 30 seconds.

A signal raises `Interrupted` at once in the main thread, which is right wherever files are whole or not
there. What has something to save first does it in `deferred()`: there a first signal is only noted, and
`requested()` says so; a second one means now.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from i3d_lightning.processes import number_given

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; the end of a job, or its preemption; SLURM's usual warning before that (`--signal=USR1@90`)."""

TOGETHER = 0.5
"""Seconds within which a second signal is the first one again: launchers, and SLURM, send one both to a
process and to its group."""

GRACE = 20.0
"""Seconds from being told to leave at once until the process is ended, whatever it hangs in."""


class Interrupted(BaseException):
    """A signal said to stop. No Exception, so that what goes on after errors does not go on after this.

    Attributes:
        signal: Which one.
    """

    def __init__(self, which: signal.Signals) -> None:
        super().__init__(which.name)
        self.signal = which


_received: tuple[signal.Signals, float] | None = None
_deferrals = 0
_before: dict[signal.Signals, Any] = {}
_hook = sys.unraisablehook
_watchdog = -1  # where the thread is told that it is time to leave
_others: list[subprocess.Popen[bytes]] = []


def install() -> None:
    """Take the signals; without effect outside the main thread, to which Python gives them."""
    global _watchdog, _hook
    if _before or threading.current_thread() is not threading.main_thread():
        return
    reading, _watchdog = os.pipe()
    os.set_blocking(_watchdog, False)
    threading.Thread(target=_watch, args=(reading,), daemon=True, name="interruption").start()
    signal.set_wakeup_fd(_watchdog, warn_on_full_buffer=False)
    _before.update({which: signal.signal(which, _handle) for which in SIGNALS})
    _hook, sys.unraisablehook = sys.unraisablehook, _swallowed


def uninstall() -> None:
    """Give the signals back to whom they belonged, and forget what came."""
    global _received, _deferrals, _watchdog
    for which, handler in _before.items():
        signal.signal(which, handler)
    if _before:
        sys.unraisablehook = _hook
        signal.set_wakeup_fd(-1)
        os.write(_watchdog, b"\0")
        os.close(_watchdog)
    _before.clear()
    _others.clear()
    _received, _deferrals, _watchdog = None, 0, -1


def received() -> signal.Signals | None:
    """The first signal that came, if one did."""
    return _received[0] if _received else None


def requested() -> signal.Signals | None:
    """The signal that asks what runs in `deferred()` to save and leave, if one came."""
    return received()


@contextmanager
def deferred() -> Iterator[None]:
    """Only note a first signal in here; it is raised at the end, unless that is an error already.

    Raises:
        Interrupted: A signal came, before too if something swallowed it.
    """
    global _deferrals
    check()
    _deferrals += 1
    try:
        yield
    finally:
        _deferrals -= 1
    check()


def check() -> None:
    """Stop if a signal came and something, such as other people's `except`, has swallowed it.

    Raises:
        Interrupted: One did, and nothing that defers it is under way.
    """
    if _received and not _deferrals:
        leave(_received[0])


def leave(which: signal.Signals) -> NoReturn:
    """Stop because of a signal to this process, or to one that works with it.

    Raises:
        Interrupted: Always.
    """
    raise stopped_by(which)


def stopped_by(which: signal.Signals) -> Interrupted:
    """Make what stops this process because of a signal, as if it had come to this one."""
    global _received
    if _received is None:
        _received = which, time.monotonic()
    if _watchdog >= 0:
        with suppress(OSError):
            os.write(_watchdog, _LEAVE)
    return Interrupted(which)


def takes_along(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Let processes that this one started end with it."""
    _others.extend(processes)


def farewell(which: signal.Signals) -> int:
    """Say how to go on, end the processes that work with this one, and after USR1 have SLURM repeat the job.

    Of several processes the first alone speaks and asks.

    Returns:
        The exit code that says which signal it was.
    """
    ignore()  # there is nothing left to stop
    _end_others()
    if number_given() == 0:
        if which == signal.SIGUSR1 and os.environ.get("SLURM_JOB_ID"):
            _requeue()
        print("Interrupted: run the same command to go on.", file=sys.stderr, flush=True)
    return 128 + which


def ignore() -> None:
    """Hear no more signals."""
    if threading.current_thread() is threading.main_thread():
        for ours in SIGNALS:
            signal.signal(ours, signal.SIG_IGN)


def leave_group() -> None:
    """Keep signals that are meant for this process's parent from it: its parent ends it."""
    global _watchdog
    signal.set_wakeup_fd(-1)
    _watchdog = -1
    for which in SIGNALS:
        signal.signal(which, signal.SIG_DFL)
    with suppress(OSError):
        os.setpgid(0, 0)


def _in_forked_child() -> None:
    if _before:
        leave_group()
        _before.clear()
        _others.clear()


os.register_at_fork(after_in_child=_in_forked_child)  # data-loading processes, before they run anything


def _handle(number: int, _: Any) -> None:
    global _received
    if _received is None:
        _received = signal.Signals(number), time.monotonic()
        if _deferrals:
            return
    elif time.monotonic() - _received[1] < TOGETHER:
        return
    leave(_received[0])


def _swallowed(what: Any) -> None:
    """Say nothing of a signal that came amid a destructor, which no exception leaves: `check` heeds it."""
    if not issubclass(what.exc_type, Interrupted):
        _hook(what)


_LEAVE = b"\xff"


def _watch(pipe: int) -> None:
    """End the process when it was told to leave and does not; Python may long be waiting in C by then.

    What comes through the pipe is the number of each signal, written as it arrives, and `_LEAVE`.
    """
    first = None
    while True:
        told = os.read(pipe, 1)
        again = first is not None and time.monotonic() - first > TOGETHER
        if told in (b"", b"\0"):
            os.close(pipe)
            return
        if told != _LEAVE and told[0] not in SIGNALS:
            continue
        if told == _LEAVE or again or not _deferrals:
            break
        first = first or time.monotonic()
    until = time.monotonic() + GRACE
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0] and os.read(pipe, 1) in (b"", b"\0"):
            os.close(pipe)
            return
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(farewell(received() or signal.SIGTERM))


def _end_others() -> None:
    for process in _others:
        process.terminate()
    until = time.monotonic() + 5
    for process in _others:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def _requeue() -> None:
    job, array = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    try:
        asked = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=10)
        failure = asked.stderr.strip() or asked.stdout.strip() if asked.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    if failure is None:
        log.info("SLURM will run job %s again.", job)
    else:
        log.warning("SLURM was asked to run job %s again, but did not agree: %s", job, failure)
