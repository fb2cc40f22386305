"""Real `i3d` processes, which can be sent signals while they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from chaos.warm import OUT_OF_TIME, Ended, quiet_environment

MODULE = ["-m", "i3d_lightning"]
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", *MODULE]


class Process:
    """A real command line in a folder, in a group of its own.

    Args:
        argv: What follows `i3d`.
        place: The working folder.
        how: The arguments of Python that make it `i3d`.
    """

    def __init__(self, argv: Sequence[str], place: Path, how: Sequence[str] = MODULE) -> None:
        self.place = place
        self.began = time.monotonic()
        with (place / ".stdout").open("w") as out, (place / ".stderr").open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, *how, *argv],
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=quiet_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, true: Callable[[], bool], seconds: float = 120.0) -> bool:
        """Wait until something is true; give up when the process has ended or time is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._process.poll() is None:
            if true():
                return True
            time.sleep(0.01)
        return true()

    def send(self, number: int, group: bool = False) -> None:
        """Send a signal, unless it has ended."""
        if self._process.poll() is None:
            (os.killpg if group else os.kill)(self.pid, number)

    def end(self, seconds: float = 180.0) -> Ended:
        """Wait for the end; kill it after so many seconds."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = OUT_OF_TIME
            for process in below(self.pid):  # torchrun gives each rank a group of its own
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # helpers that it left behind, or itself
        self._process.wait()
        out, err = ((self.place / name).read_text(errors="replace") for name in (".stdout", ".stderr"))
        return Ended(code, out, err, seconds=time.monotonic() - self.began)


def below(parent: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    found, waiting = [], [parent]
    while waiting:
        process = str(waiting.pop())
        with suppress(OSError):
            children = (Path("/proc") / process / "task" / process / "children").read_text().split()
            waiting += map(int, children)
            found += map(int, children)
    return found
