"""A sweep: the cells of a grid with each of several settings, tested on held-out groups of training videos.

    sweep: {training.learning_rate: [0.03, 0.01, 0.003]}  # of several settings every combination
    hold_out: 0.2                                         # the share of the training videos

Test videos play no part; where `hold_out` is 0, all data sets must be there to choose settings on. All else
is as in a grid, see `study.grid`. A cell on which no setting has an effect, as the learning rate has none on
frozen features, is run once, as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from i3d_lightning import yaml_text
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Changes, digest, merge
from i3d_lightning.results.runs import load_run
from i3d_lightning.study.grid import Grid, check_known_settings, grid_of
from i3d_lightning.study.identity import features_identity, run_identity
from i3d_lightning.study.planner import MOST_HELD_OUT, WEIGHTS, Cell, Plan, plan
from i3d_lightning.study.workspace import Workspace

AS_IT_IS = "as-it-is"
"""In the place of a setting: that of a cell on which no setting has an effect."""
MOST = 1000
"""Combinations of settings that anybody can mean."""


@dataclass(frozen=True)
class Sweep:
    """What is tried on which cells.

    Attributes:
        grid: The cells, and the settings that they share.
        settings: By name, which is a folder's too, such as `training.learning_rate=0.01`: each setting of a
            combination, by its full name.
        hold_out: The share of the training videos that it is tested on; 0 for the test videos of data sets
            that are there for it.
    """

    grid: Grid
    settings: Mapping[str, Mapping[str, Any]]
    hold_out: float

    def edges(self, setting: str) -> list[str]:
        """Say which numbers of a combination are the largest or smallest tried: beyond may be better."""
        found = []
        for name, value in self.settings.get(setting, {}).items():
            tried = {_number(combination[name]) for combination in self.settings.values()}
            numbers = [number for number in tried if number is not None]
            if len(numbers) == len(tried) > 1 and _number(value) in (min(numbers), max(numbers)):
                end = "largest" if _number(value) == max(numbers) else "smallest"
                found.append(f"{name} {value} is the {end} tried")
        return found


@dataclass(frozen=True)
class Candidates:
    """All that a sweep runs.

    Attributes:
        pretraining: What its cells start from, once for all settings; empty where that is there already.
        cells: By the name of a setting, the cells that are run with it.
    """

    pretraining: Plan
    cells: Mapping[str, tuple[Cell, ...]]


def read_sweep(path: Path) -> Sweep:
    """Read a sweep.

    Raises:
        InputError: As `grid.read_grid`, or it does not say what to try on what.
    """
    content = yaml_text.read(path)
    if not isinstance(content, dict) or "sweep" not in content:
        raise InputError(f"{path} is no sweep: it needs 'sweep', see docs/recipes.md; i3d grid runs a grid.")
    content = dict(content)
    tried, share = content.pop("sweep"), content.pop("hold_out", None)
    grid = grid_of(content, path)  # which knows a misspelt hold_out for what it is
    if type(share) not in (int, float) or not 0 <= share <= MOST_HELD_OUT:
        raise InputError(
            f"{path}: hold_out is {share!r}, but must be a number from 0 to {MOST_HELD_OUT}, the share of "
            "the training videos to choose on (0 on a development set alone)."
        )
    return Sweep(grid, _combinations(tried, path), float(share))


def _combinations(tried: Any, path: Path) -> dict[str, dict[str, Any]]:
    """Every combination of what is tried, by its name."""
    if not isinstance(tried, dict) or not tried:
        raise InputError(f"{path}: sweep is {tried!r}, but must name settings and lists of what to try.")
    many = 1
    for name, values in tried.items():
        part, _, setting = str(name).partition(".")
        if not setting:
            raise InputError(
                f"{path}: sweep names {name!r}, but a setting is such as training.learning_rate."
            )
        check_known_settings({part: {setting: None}})
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: sweep gives {name} {values!r}, but must give a list of what to try.")
        known = [value if (number := _number(value)) is None else number for value in values]
        if twice := [value for i, value in enumerate(values) if known[i] in known[:i]]:
            raise InputError(f"{path}: sweep gives {name} {twice[0]!r} twice: give each once.")
        many *= len(values)
    if many > MOST:
        raise InputError(f"{path} has {many} combinations of settings, but at most {MOST} can be tried.")
    found = (dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values()))
    return {_name(combination): combination for combination in found}


def _name(combination: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={quote(str(value), safe='[], ')}" for name, value in combination.items())


def _number(value: Any) -> float | None:
    """A number, also where YAML takes it for text, as 1e-4."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def candidates(
    sweep: Sweep,
    space: Workspace,
    roots: Mapping[str, Path],
    weights: Mapping[str, str | None] | None = None,
) -> Candidates:
    """Plan all that a sweep runs, so that whatever is wrong is said before anything runs.

    Args:
        sweep: What is tried on what.
        space: Where the pretraining is kept, and below it what is tried.
        roots: Folder of each data set that is at hand.
        weights: As in `planner.plan`.

    Raises:
        InputError: As `planner.plan`, or two settings are the same.
    """
    wanted, before = frozenset(sweep.grid.cells), Plan({}, ())
    found: dict[str, dict[Experiment, Cell]] = {}
    for name, combination in sweep.settings.items():
        changes = _changes(combination)

        def settings(experiment: Experiment, changes: Changes = changes) -> Changes:
            return merge(sweep.grid.settings(experiment), changes if experiment in wanted else {})

        planned = plan(sweep.grid.cells, space, roots=roots, weights=weights, settings=settings)
        if not sweep.hold_out:
            _check_development(planned.cells.values())
        first = {e: cell for e, cell in planned.cells.items() if e not in wanted}
        before = Plan(first, tuple(first))
        found[name] = {e: replace(planned.cells[e], hold_out=sweep.hold_out) for e in planned.wanted}
    return Candidates(before, _by_effect(found, sweep.grid.cells))


def _check_development(cells: Iterable[Cell]) -> None:
    """Refuse to choose on test videos that numbers are reported on."""
    for cell in cells:
        dataset = DATASETS[cell.experiment.dataset]
        if dataset.development is None or not dataset.development(cell.root):
            raise InputError(
                f"hold_out is 0, but the test videos of {dataset.name} below {cell.root} are not there to "
                "choose settings on: hold out a share of the training videos."
            )


def _by_effect(
    found: Mapping[str, Mapping[Experiment, Cell]], experiments: tuple[Experiment, ...]
) -> dict[str, tuple[Cell, ...]]:
    """Of a cell that no setting changes, keep one."""
    kept: dict[str, list[Cell]] = {name: [] for name in (AS_IT_IS, *found)}
    for experiment in experiments:
        by_identity: dict[str, str] = {}
        for name, cells in found.items():
            same = by_identity.setdefault(_identity(cells[experiment]), name)
            kept[name] += [cells[experiment]] if same == name else []
        if len(by_identity) == 1 < len(found):
            kept[AS_IT_IS].append(next(kept[name].pop() for name in found))
        elif len(by_identity) < len(found):
            raise InputError(
                f"Of {len(found)} settings of the sweep only {len(by_identity)} are different to "
                f"{experiment.name}: try each once, and only what has an effect on it."
            )
    return {name: tuple(cells) for name, cells in kept.items() if cells}


def _identity(cell: Cell) -> str:
    """What the result of a cell depends on, but for what all settings share: weights and videos."""
    features = features_identity(cell.experiment, cell.recipe, None, cell.new_layers)
    return digest(run_identity(cell.experiment, cell.recipe, features, "", None))


def _changes(combination: Mapping[str, Any]) -> Changes:
    named = ((*name.split(".", 1), value) for name, value in combination.items())
    return merge(*({part: {setting: value}} for part, setting, value in named))


def place(space: Workspace, setting: str) -> Workspace:
    """Say where the runs with a setting are kept."""
    return replace(space, name=str(Path(space.name, setting)))


def ready(cells: tuple[Cell, ...], space: Workspace) -> Plan:
    """Plan cells that are run with one setting, each from the pretraining that all settings share.

    Args:
        cells: Of `Candidates`, of one setting.
        space: Where the pretraining is kept.
    """
    found: dict[Experiment, Cell] = {}
    for cell in cells:
        done = cell.parent and load_run(space.folder(cell.parent))
        if done:
            cell = replace(
                cell,
                weights=str(done.folder / WEIGHTS),
                sha256=done.metrics["weights_sha256"],
                parent=None,
            )
        found[cell.experiment] = cell
    return Plan(found, tuple(found))
