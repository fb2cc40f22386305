"""What a launcher is: it runs the cells of a plan somewhere, each after the one that it starts from.

A launcher is one file: a function that runs one cell, and its registration:

    register(Launcher("my-cluster", run_cell=submit_and_wait))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from i3d_lightning import interruption
from i3d_lightning.errors import UNWRITABLE, DiskFullError, InputError, cannot_write
from i3d_lightning.experiment import Experiment
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.registry import Registry
from i3d_lightning.results.runs import Run, is_complete, load_run
from i3d_lightning.study.planner import Cell, Plan
from i3d_lightning.study.workspace import Workspace

log = logging.getLogger(__name__)

RunCell = Callable[[Cell, Workspace], object]


@dataclass
class Overview:
    """What came of a plan.

    Attributes:
        done: Complete cells.
        failed: Cells that did not complete, and why; those that start from a failed one are among them.
    """

    done: list[Run] = field(default_factory=list)
    failed: dict[Experiment, str] = field(default_factory=dict)


RunPlan = Callable[[Plan, Workspace, RunCell], Overview]


def one_by_one(plan: Plan, space: Workspace, run_cell: RunCell) -> Overview:
    """Run the cells of a plan, one after the other.

    A cell that fails is named and the others go on, but for those that start from it; one interrupted
    is resumed by the next call.

    Args:
        plan: The cells.
        space: Where things are kept.
        run_cell: Runs one cell to completion.
    """
    overview = Overview()
    progress = Progress(plan, space)
    for cell in plan.cells.values():
        progress.announce(cell, overview)
        try:
            if cell.parent in overview.failed:
                raise InputError(f"its pretraining {cell.parent.name} failed")
            with progress.timed(cell):
                run = run_cell(cell, space)
            done = run if isinstance(run, Run) else load_run(space.folder(cell.experiment))
            if done is None:
                raise InputError("it ended without a result")
            overview.done.append(done)
        except Exception as raised:  # whatever one cell may raise, the others go on
            error = raised
            if isinstance(raised, OSError) and raised.errno in UNWRITABLE:  # of code that is not ours
                error = cannot_write(raised.filename or space.root, raised)
            if isinstance(error, DiskFullError):
                raise error from raised  # no other will do better
            if not isinstance(error, InputError):
                log.exception("%s failed", cell.experiment.name)
            overview.failed[cell.experiment] = str(error).splitlines()[0] if str(error) else repr(error)
            log.error("  %s failed: %s", cell.experiment.name, overview.failed[cell.experiment])
            interruption.check()  # it may have been a signal, before other people's code made an error of it
    return overview


@dataclass(frozen=True)
class Launcher:
    """A way to run a plan.

    Attributes:
        name: What users call it by.
        run_cell: Runs one cell to completion, wherever.
        run_plan: Runs all of them.
    """

    name: str
    run_cell: RunCell
    run_plan: RunPlan = one_by_one

    def __call__(self, plan: Plan, space: Workspace) -> Overview:
        """Run a plan."""
        return self.run_plan(plan, space, self.run_cell)


LAUNCHERS: Registry[Launcher] = Registry("launcher")
register = LAUNCHERS.register

_TEST = 20
"""Steps that take about as long as a test."""


class Progress:
    """Says how far a plan is and, from the pace of what has run, how long the rest may take.

    Args:
        plan: The cells.
        space: Where their runs are kept.
    """

    def __init__(self, plan: Plan, space: Workspace) -> None:
        cells = plan.cells.values()
        self.todo = [cell for cell in cells if not is_complete(space.folder(cell.experiment))]
        self.places = {cell.experiment: place for place, cell in enumerate(self.todo)}
        self.pace: dict[tuple[Any, ...], float] = {}  # seconds for a unit of work
        self.speaks = len(plan.cells) > len(plan.wanted) or len(plan.wanted) > 1
        if self.speaks:
            complete = len(plan.cells) - len(self.todo)
            log.info("%d cells: %d complete, %d to run.", len(plan.cells), complete, len(self.todo))

    def announce(self, cell: Cell, overview: Overview) -> None:
        """Say which cell is next, unless it is complete."""
        place = self.places.get(cell.experiment)
        if place is not None and self.speaks:
            failed = f", {len(overview.failed)} failed" if overview.failed else ""
            left = _time_left(self.todo[place:], self.pace)
            log.info("[%d/%d%s] %s%s", place + 1, len(self.todo), failed, cell.experiment.name, left)

    @contextmanager
    def timed(self, cell: Cell) -> Iterator[None]:
        """Learn the pace of cells of one kind."""
        began = time.monotonic()
        yield
        if cell.experiment in self.places:
            taken = (time.monotonic() - began) / _work(cell)
            self.pace |= dict.fromkeys((_kind(cell), _kind(cell)[:2]), taken)


def _kind(cell: Cell) -> tuple[Any, ...]:
    """Cells of one kind take about as long as each other."""
    e = cell.experiment
    return e.architecture, e.stream, e.protocol, e.dataset


def _work(cell: Cell) -> int:
    """Steps that a cell trains for, and about as many as its test is worth."""
    trains = PROTOCOLS[cell.experiment.protocol].trains_by_steps
    return _TEST + (cell.recipe.training.course.steps if trains else 0)


def _time_left(todo: Sequence[Cell], pace: Mapping[tuple[Any, ...], float]) -> str:
    """What is left, at the pace of the last cell of its kind, else of its network, else of all on average."""
    if not pace:
        return ""
    mean = sum(pace.values()) / len(pace)
    seconds = sum(_work(cell) * pace.get(_kind(cell), pace.get(_kind(cell)[:2], mean)) for cell in todo)
    return f", about {seconds / 60:.0f} min left"
