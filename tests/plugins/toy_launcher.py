"""Each cell in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from i3d_lightning.errors import InputError
from i3d_lightning.launch.base import Launcher, register
from i3d_lightning.registry import imported
from i3d_lightning.study.planner import Cell, save_cell
from i3d_lightning.study.workspace import Workspace


def in_a_process(cell: Cell, space: Workspace) -> None:
    """Run a cell by the command line, in another process."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "cell.json"
        save_cell(cell, space, imported(), file)
        done = subprocess.run(
            [sys.executable, "-m", "i3d_lightning", "cell", str(file)], stderr=subprocess.PIPE, text=True
        )
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))


register(Launcher("subprocess", in_a_process))
