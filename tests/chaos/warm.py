"""Runs `i3d` command lines in forked children of a process that has imported everything: 0.5 s each, not 10.

    warm = Warm()
    ended = warm.run(["experiment", ...], folder, disk=("/folder/watched", 17, "full"))

The process itself has started no thread and loaded no data, so a child is what a fresh process would be.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command line ended.

    Attributes:
        code: Exit status, or the negative number of the signal.
        stdout: What it printed.
        stderr: What it said.
        log: What it did to the watched folder, in order.
        seconds: How long it took.
    """

    code: int
    stdout: str
    stderr: str
    log: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def in_time(self) -> bool:
        return self.code != OUT_OF_TIME

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.stderr

    @property
    def sentence(self) -> str:
        """The last error line, as the user reads it."""
        errors = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        return errors[-1] if errors else ""

    @property
    def tail(self) -> str:
        """The last line that it said."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1][:300] if lines else "(no word)"


OUT_OF_TIME = -99


class Warm:
    """A process that forks a child for each command line; one at a time."""

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=quiet_environment() | (env or {}),
        )

    def run(
        self,
        argv: list[str],
        place: Path,
        *,
        said: Path | None = None,
        disk: tuple[Path, int, str] | None = None,
        seconds: float = 60.0,
    ) -> Ended:
        """Run a command line to its end.

        Args:
            argv: What follows `i3d`.
            place: The working folder.
            said: Where files of what it says go; the working folder, if not said.
            disk: The folder to watch, the operation that fails there (0 for none) and how.
            seconds: After so many the child is killed.
        """
        watched = [str(disk[0]), disk[1], disk[2]] if disk else None
        said = said or place
        task = {"argv": argv, "place": str(place), "said": str(said), "disk": watched, "seconds": seconds}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The process that forks children has died.")
        answer = json.loads(line)
        out, err = ((said / name).read_text(errors="replace") for name in (".stdout", ".stderr"))
        log = (said / ".log").read_text().splitlines() if (said / ".log").exists() else []
        return Ended(answer["code"], out, err, tuple(log), answer["seconds"])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def quiet_environment() -> dict[str, str]:
    """One thread, no tracking service, this copy of the package."""
    path = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
        "PYTHONPATH": path,
        "COLUMNS": "160",
    }


# ------------------------------------------------------------------------------------ in the process


def _serve() -> None:
    """Answer the tasks on stdin until it closes."""
    _import_everything()
    gc.collect()
    gc.freeze()  # else every child copies all memory to count its references
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        task = json.loads(line)
        began = time.monotonic()
        child = os.fork()
        if not child:
            os._exit(_be_i3d(task))
        code = _wait(child, began + task["seconds"])
        replies.write(json.dumps({"code": code, "seconds": time.monotonic() - began}) + "\n")
        replies.flush()


def _import_everything() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import torch
    import torchvision.transforms.v2  # noqa: F401
    import wandb  # noqa: F401

    import i3d_lightning.cli.main
    import i3d_lightning.datasets.manifest
    import i3d_lightning.flow.solvers.cpu
    import i3d_lightning.launch
    import i3d_lightning.predict.predictor
    import i3d_lightning.results.overview
    import i3d_lightning.results.tables
    import i3d_lightning.study.grid
    import i3d_lightning.study.run

    torch.set_num_threads(1)
    i3d_lightning.cli.main.build_parser()


def _be_i3d(task: dict[str, Any]) -> int:
    """Run a command line, and leave as a process of its own leaves, but for the minutes of tidying memory."""
    from chaos.faults import Disk

    os.setpgid(0, 0)
    said = Path(task["said"])
    os.chdir(task["place"])
    null, out, err = (
        os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        for name in ("/dev/null", said / ".stdout", said / ".stderr")
    )
    for descriptor, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, m) for n, m in ((0, "r"), (1, "w"), (2, "w")))
    sys.stderr.reconfigure(line_buffering=True)
    sys.argv = ["i3d", *task["argv"]]
    disk = None
    if task["disk"]:
        disk = Disk(*task["disk"])
        disk.install()
    from i3d_lightning.cli.main import main

    code: Any = 0
    try:
        main(task["argv"])
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if disk is not None and not disk.point:
        (said / ".log").write_text("\n".join(disk.log))
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _wait(child: int, until: float) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return OUT_OF_TIME
        time.sleep(0.003)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # helpers that it left behind
    return code


if __name__ == "__main__":
    _serve()
