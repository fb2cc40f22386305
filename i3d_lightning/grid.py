"""A grid of experiments, described by a file: runs what is missing, survives what fails.

    cells:                      # every combination that exists, of each entry's words
      - {architecture: [i3d, c3d], protocol: [origin, fixed], pretraining: [none, kinetics]}
    dataset: [ucf101, hmdb51]   # words that all entries share
    split: [1, 2, 3]
    recipe: {training: {steps: 5000}}
    recipes:                    # of one architecture, one data set, or an architecture on a data set
      c3d: {training: {batch_size: 32}}
      c3d/hmdb51: {training: {steps: 2000}}

A cell without `stream` stands for the streams of its architecture's two-stream result; one without
`pretraining` for those that its protocol may start from, the control of frozen ImageNet features aside.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import yaml

from i3d_lightning import plan, runner
from i3d_lightning.plan import Experiment, InputError
from i3d_lightning.recipes import recipe_for
from i3d_lightning.results import Run, load_run

log = logging.getLogger(__name__)

WORDS = ("architecture", "stream", "pretraining", "protocol", "dataset", "split", "seed")


@dataclass(frozen=True)
class Grid:
    """Experiments and their settings.

    Attributes:
        cells: What to run, in the order of the file.
        recipe: Settings that differ from the data sets' recipes.
        recipes: Further ones of an architecture, data set, or both (`c3d/hmdb51`), each over those before.
    """

    cells: tuple[Experiment, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def changes(self, cell: Experiment) -> Mapping[str, Any]:
        """The settings of one cell that differ from its data set's recipe."""
        merged: dict[str, Any] = {}
        for part in (
            self.recipe,
            self.recipes.get(cell.architecture, {}),
            self.recipes.get(cell.dataset, {}),
            self.recipes.get(f"{cell.architecture}/{cell.dataset}", {}),
        ):
            merged = _merge(merged, part)
        return merged


@dataclass
class Overview:
    """What came of a grid.

    Attributes:
        done: Complete cells.
        failed: Cells that did not complete, and why.
    """

    done: list[Run] = field(default_factory=list)
    failed: dict[Experiment, str] = field(default_factory=dict)


def read_grid(path: Path) -> Grid:
    """Reads a grid.

    Raises:
        InputError: The file is missing or no YAML, says something unknown, or an entry stands for no cell.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"There is no grid {path} ({error.strerror}): see experiments/.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("cells"), list):
        raise InputError(f"{path} describes no grid: it needs a list of 'cells'.")
    known = {"cells", "recipe", "recipes", *WORDS}
    for key in content:
        plan.check_known("word of a grid", key, known)
    for key in content.get("recipes") or {}:
        for part in str(key).split("/"):
            plan.check_known("architecture or data set", part, {*get_args(plan.Architecture), *plan.DATASETS})
    shared = {word: content[word] for word in WORDS if word in content}
    cells: dict[Experiment, None] = {}
    for entry in content["cells"]:
        found = list(_combinations({**shared, **entry}, path))
        if not found:
            raise InputError(f"{path}: no cell of {entry} exists; see Table 4 for those that do.")
        cells |= dict.fromkeys(found)
    return Grid(tuple(cells), content.get("recipe") or {}, content.get("recipes") or {})


def _combinations(entry: Mapping[str, Any], path: Path) -> Iterator[Experiment]:
    """The cells of an entry that exist."""
    for word in entry:
        plan.check_known(f"word in {path}", word, WORDS)
    for word in ("architecture", "protocol", "dataset"):
        if word not in entry:
            raise InputError(f"{path}: a cell says no {word}.")
    lists = {word: value if isinstance(value, list) else [value] for word, value in entry.items()}
    for architecture, protocol, dataset in itertools.product(
        lists["architecture"], lists["protocol"], lists["dataset"]
    ):
        for kind, word, words in (
            ("architecture", architecture, get_args(plan.Architecture)),
            ("protocol", protocol, get_args(plan.Protocol)),
            ("data set", dataset, plan.DATASETS),
        ):
            plan.check_known(kind, word, words)
        valid = plan.pretrainings(architecture, protocol, dataset)
        for pretraining, stream, split, seed in itertools.product(
            lists.get("pretraining", valid),
            lists.get("stream", plan.usual_streams(architecture)),
            lists.get("split", [1]),
            lists.get("seed", [0]),
        ):
            if pretraining in valid and stream in plan.streams(architecture):
                cell = Experiment(architecture, stream, pretraining, protocol, dataset, split, seed)
                if "pretraining" in entry or not plan.is_control(cell):
                    yield cell


def ordered(cells: Iterable[Experiment], datasets: Collection[str] = ()) -> list[Experiment]:
    """Cells with the pretraining that they start from, in an order in which each comes after what it needs.

    Args:
        cells: The cells wanted.
        datasets: Real data sets that are at hand: pretraining on others is left to published weights.
    """
    wanted: dict[Experiment, None] = {}
    for cell in cells:
        chain = [cell]
        while (before := runner.pretraining_run(chain[-1])) is not None:
            if not plan.is_demo(before.dataset) and before.dataset not in datasets:
                break
            chain.append(before)
        wanted |= dict.fromkeys(reversed(chain))
    return sorted(wanted, key=_stage)


def _stage(cell: Experiment) -> tuple[int, bool]:
    """Images first, then Kinetics, then what is cheap of the targets before what is not."""
    if plan.is_imagenet(cell.dataset):
        return 0, False
    if plan.is_kinetics(cell.dataset):
        return 1, cell.pretraining != "none"
    return 2, cell.protocol != "fixed"


_TEST = 20
"""Steps that take about as long as a test."""


def run_grid(
    grid: Grid,
    space: runner.Workspace,
    roots: Mapping[str, Path],
    show: Callable[[str], None] = log.info,
) -> Overview:
    """Runs the cells of a grid that are not complete, one after the other.

    A cell that fails is named and the others go on; one interrupted is resumed by the next call.

    Args:
        grid: The experiments.
        space: Where things are kept.
        roots: Folder of each real data set.
        show: Called with a line before each cell: how far the grid is, and how long it may take.
    """
    cells = ordered(grid.cells, roots)
    overview = Overview()
    todo = [cell for cell in cells if load_run(space.folder(cell)) is None]
    show(f"{len(cells)} cells: {len(cells) - len(todo)} complete, {len(todo)} to run.")
    work = {cell: _work(cell, grid) for cell in todo}
    pace: dict[tuple[Any, ...], float] = {}  # seconds for a unit of work
    for cell in cells:
        waiting = cell in todo
        if waiting:
            place = todo.index(cell) + 1
            failed = f", {len(overview.failed)} failed" if overview.failed else ""
            show(f"[{place}/{len(todo)}{failed}] {cell.name}{_time_left(todo[place - 1 :], work, pace)}")
        began = time.monotonic()
        try:
            run = runner.run(
                cell,
                space,
                root=roots.get(cell.dataset),
                changes=grid.changes(cell),
                settings=grid.changes,
            )
            overview.done.append(run)
            if waiting:
                taken = (time.monotonic() - began) / work[cell]
                pace |= dict.fromkeys((_kind(cell), _kind(cell)[:2]), taken)
        except Exception as error:  # whatever one cell may raise, the others go on
            if not isinstance(error, InputError):
                log.exception("%s failed", cell.name)
            overview.failed[cell] = str(error).splitlines()[0] if str(error) else repr(error)
            show(f"  failed: {overview.failed[cell]}")
    return overview


def _kind(cell: Experiment) -> tuple[Any, ...]:
    """Cells of one kind take about as long as each other."""
    return cell.architecture, cell.stream, cell.protocol, cell.dataset


def _work(cell: Experiment, grid: Grid) -> int:
    """Steps that a cell trains for, and about as many as its test is worth."""
    if cell.protocol == "fixed":
        return _TEST
    try:
        return _TEST + recipe_for(cell, grid.changes(cell)).training.steps
    except InputError:
        return _TEST  # running it will say what is wrong


def _time_left(
    todo: Sequence[Experiment], work: Mapping[Experiment, int], pace: Mapping[tuple[Any, ...], float]
) -> str:
    """What is left, at the pace of the last cell of its kind, else of its network, else of all on average."""
    if not pace:
        return ""
    mean = sum(pace.values()) / len(pace)
    seconds = sum(work[cell] * pace.get(_kind(cell), pace.get(_kind(cell)[:2], mean)) for cell in todo)
    return f", about {seconds / 60:.0f} min left"


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def with_speed(grid: Grid, speed: str) -> Grid:
    """The same grid computed another way, but for cells whose own recipe says how.

    Raises:
        InputError: There is no such speed.
    """
    plan.check_known("speed", speed, get_args(plan.Speed))
    return replace(grid, recipe=_merge(grid.recipe, {"training": {"speed": speed}}))


def with_seeds(grid: Grid, seeds: Sequence[int]) -> Grid:
    """The same grid at other seeds."""
    cells = dict.fromkeys(replace(cell, seed=seed) for seed in seeds for cell in grid.cells)
    return replace(grid, cells=tuple(cells))
