"""From what a user asks for to a plan: a graph of cells, each with its settings, root and weights resolved.

An edge leads from the pretraining that a cell starts from to the cell. Everything is checked here, before
anything runs: which cells exist, every setting, and what each cell starts from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from i3d_lightning.datasets import own
from i3d_lightning.datasets.registry import DATASETS, root_of
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.experiment import RANDOM, STREAMS, UNTAUGHT, Experiment, stages
from i3d_lightning.files import write_atomically
from i3d_lightning.flow.image_folders import folder_of_images
from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import Changes, Recipe, compose, plain
from i3d_lightning.results.runs import FINGERPRINT, RESULT, load_run
from i3d_lightning.study.cells import check, pretraining_of, pretrainings, sees_video
from i3d_lightning.study.recipes import Preprocessing, check_answers, recipe_for
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.weights import Entry, Weights, list_weights, load_weights
from i3d_lightning.weights.fetch import fetch

WEIGHTS = "weights.safetensors"
"""What a run calls the weights that it leaves."""
MOST_HELD_OUT = 0.9
"""The largest share of training videos that may be held out."""


@dataclass(frozen=True)
class Cell:
    """One experiment, ready to be run.

    Attributes:
        experiment: What to run.
        recipe: All its settings.
        root: Folder of its data set.
        weights: Name or path of the weights that it starts from, where they are there already.
        sha256: Of these weights, where they were read to plan it.
        parent: The pretraining that it starts from, where that is a cell of the plan.
        differences: In words, where its preprocessing differs from that of the weights.
        hold_out: To choose settings on, the share of the training videos, by whole groups, that is tested on
            instead of the test videos, which are then never decoded; 0 for a test.

    Raises:
        InputError: No such share can be held out.
    """

    experiment: Experiment
    recipe: Recipe
    root: Path
    weights: str | None = None
    sha256: str | None = None
    parent: Experiment | None = None
    differences: tuple[str, ...] = ()
    hold_out: float = 0.0

    def __post_init__(self) -> None:
        if type(self.hold_out) not in (int, float) or not 0 <= self.hold_out <= MOST_HELD_OUT:
            raise InputError(
                f"hold_out is {self.hold_out!r}, but must be a number from 0 to {MOST_HELD_OUT}, the share "
                "of the training videos that is held out."
            )

    @property
    def new_layers(self) -> bool:
        """Whether features come from new layers: all, or those that a network of images does not cover."""
        if self.experiment.pretraining == RANDOM:
            return True
        taught = stages(self.experiment.pretraining)
        itself = ARCHITECTURES[self.experiment.architecture].images
        return bool(taught) and not itself and not sees_video(self.experiment.pretraining)


@dataclass(frozen=True)
class Plan:
    """Cells in an order in which each comes after the one that it starts from.

    Attributes:
        cells: By experiment.
        wanted: Those that were asked for; the others are pretraining.
    """

    cells: Mapping[Experiment, Cell]
    wanted: tuple[Experiment, ...]


def plan(
    wanted: Iterable[Experiment],
    space: Workspace,
    *,
    roots: Mapping[str, Path] | None = None,
    weights: Mapping[str, str | None] | None = None,
    settings: Callable[[Experiment], Changes] = lambda experiment: {},
    dry: bool = False,
) -> Plan:
    """Resolve experiments, and the pretraining that they start from, into a plan.

    Args:
        wanted: What to run.
        space: Where things are kept; complete pretraining of real data sets is found there.
        roots: Folder of each data set that is at hand; the rendered ones know theirs.
        weights: Weights to start from, by stream, for all that was asked for but what starts from scratch;
            else the project's own pretraining, which is planned where its data set is at hand, and then
            published weights.
        settings: The user's settings of an experiment.
        dry: Whether only to list cells, so that neither data nor weights need be there.

    Raises:
        InputError: An experiment does not exist, a setting is wrong, or there is nothing to start from.
    """
    for name in roots or {}:
        check_known("data set", name, DATASETS.names())
    planner = _Planner(space, roots or {}, weights or {}, settings, dry)
    chosen = tuple(dict.fromkeys(wanted))
    for stream, said in (weights or {}).items():
        check_known("stream", stream, STREAMS)
        if said is not None and not any(e.stream == stream and e.pretraining not in UNTAUGHT for e in chosen):
            raise InputError(
                f"No {stream} network is to start from weights; pretraining 'none' starts from scratch: drop "
                f"--weights {said}, or say --pretraining."
            )
    for experiment in chosen:
        planner.add(experiment)
    ordered = sorted(planner.cells.values(), key=lambda cell: _stage(cell.experiment))
    return Plan({cell.experiment: cell for cell in ordered}, chosen)


@dataclass
class _Planner:
    space: Workspace
    roots: Mapping[str, Path]
    weights: Mapping[str, str | None]
    settings: Callable[[Experiment], Changes]
    dry: bool
    cells: dict[Experiment, Cell] = field(default_factory=dict)

    def add(self, experiment: Experiment, given: bool = True) -> Cell:
        """Plan a cell, after the one that it starts from; only what was asked for gets the weights given."""
        if experiment in self.cells:
            return self.cells[experiment]
        check(experiment)
        root = self._root(experiment.dataset)
        weights, sha256, parent, expected = self._start(experiment, given)
        changes = self.settings(experiment)
        check_answers(experiment, changes)
        recipe, differences = recipe_for(experiment, changes, expected)
        if not self.dry and experiment.stream != "rgb" and recipe.flow.images:
            folder_of_images(recipe.flow.source)
        cell = Cell(experiment, recipe, root, weights, sha256, parent, differences)
        self.cells[experiment] = cell
        return cell

    def _root(self, dataset: str) -> Path:
        """The folder said, or the data set's own; rendered data sets share one."""
        family = DATASETS[dataset].family
        kin = [d.name for d in DATASETS if family and d.family == family]
        said = next((self.roots[name] for name in (dataset, *kin) if name in self.roots), None)
        root = said or Path() if self.dry else root_of(DATASETS[dataset], said)
        if DATASETS[dataset].prepare is None and not root.is_dir():
            raise InputError(f"{root} is not a folder: give the folder that holds {dataset}.")
        return root

    def _start(
        self, experiment: Experiment, given: bool
    ) -> tuple[str | None, str | None, Experiment | None, Preprocessing]:
        """Weights and their sha256, or a planned pretraining, and the preprocessing that comes with it."""
        said = self.weights.get(experiment.stream) if given else None
        if experiment.pretraining in UNTAUGHT:
            return None, None, None, (None, None)
        if said is not None and experiment.pretraining_seed:
            raise InputError(
                f"--weights {said} is one pretraining, but {experiment.name} is to start from that of seed "
                f"{experiment.pretraining_seed}: drop --weights or --pretraining_seeds."
            )
        if said is not None:
            found = load_weights(said, architecture=experiment.architecture)
            _check_weights(experiment, found)
            return said, found.sha256, None, _preprocessing(experiment, found)
        before = pretraining_of(experiment)
        if before is not None and before.pretraining not in pretrainings(
            before.architecture, before.protocol, before.dataset
        ):
            before = None  # it starts from something that no data set here teaches
        if before is not None and self._at_hand(before.dataset):
            parent = self.add(before, given=False)
            inflated = before.architecture != experiment.architecture
            expected = (None, None) if inflated else (parent.recipe.clips, parent.recipe.flow)
            return None, None, before, expected
        if before is not None and (own := self._own(before)) is not None:
            return own.source, own.sha256, None, _preprocessing(experiment, own)
        if experiment.pretraining_seed and not self.dry:
            raise InputError(self._one_draw(experiment, before))
        entry = _published(experiment)
        if entry is None and self.dry:
            return None, None, None, (None, None)
        if entry is None:
            raise InputError(
                f"No {experiment.architecture} {experiment.stream} weights with pretraining "
                f"'{experiment.pretraining}' are known: give a file with --weights, or train them with "
                "i3d pretrain."
            )
        if entry.sha256 is None and not self.dry:
            fetch(entry)  # which says why it is not fetched by name
        return entry.name, None, None, _preprocessing(experiment, entry)

    def _own(self, before: Experiment) -> Weights | None:
        """The weights of a pretraining that was run here, None where there is none; never others instead."""
        folder = self.space.folder(before)
        done = load_run(folder)
        if done is not None:
            return load_weights(str(folder / WEIGHTS), done.metrics["weights_sha256"])
        if before.seed:
            return None  # whose place published weights do not take at all
        if (folder / FINGERPRINT).exists() and not self.dry:
            raise InputError(
                f"{folder} holds pretraining that is not finished, and published weights do not take its "
                f"place by themselves: finish it (give the folder of {before.dataset}), delete it, or say "
                "--weights."
            )
        protocol = folder.parent
        others = [
            *protocol.glob("seed*"),
            *protocol.parent.parent.glob(f"{before.pretraining}-seed*/{protocol.name}/seed*"),
            replace(self.space, name="").folder(before),
        ]
        if near := next((o for o in others if (o / RESULT).exists() and not self.dry), None):
            raise InputError(
                f"{near} holds pretraining of one's own, but {before.name} is not there, and published "
                "weights do not take its place by themselves: say which with --weights, such as "
                f"{near / WEIGHTS}."
            )
        return None

    def _one_draw(self, experiment: Experiment, before: Experiment | None) -> str:
        """Why published weights do not take the place of pretraining of a seed above 0."""
        why = f"{experiment.name} is to start from the pretraining of seed {experiment.pretraining_seed}"
        if before is None:
            return f"{why}, but published weights are one pretraining: drop --pretraining_seeds."
        return (
            f"{why}, which is not complete in {self.space.folder(before)}, and published weights are one "
            f"pretraining: give the folder of {before.dataset}, run i3d pretrain --dataset {before.dataset} "
            f"--seed {before.seed}, or drop --pretraining_seeds."
        )

    def _at_hand(self, dataset: str) -> bool:
        return DATASETS[dataset].root is not None or dataset in self.roots


def _preprocessing(experiment: Experiment, weights: Weights | Entry) -> Preprocessing:
    """What weights expect; those of images say nothing of the clips of a network that is made from them."""
    inflated = weights.architecture != experiment.architecture
    return (None, None) if inflated else (weights.clips, weights.flow)


def _stage(experiment: Experiment) -> tuple[int, int, bool]:
    """Images first, then what teaches, then what is cheap of the targets before what is not."""
    dataset = DATASETS[experiment.dataset]
    if dataset.teaches is not None:
        return (0 if dataset.images else 1), len(stages(experiment.pretraining)), False
    return 2, 0, PROTOCOLS[experiment.protocol].trains_by_steps


def _published(experiment: Experiment) -> Entry | None:
    """The registry's weights for an experiment; those of images start any network and stream."""
    wanted = [(experiment.architecture, experiment.stream, experiment.pretraining)]
    known = ARCHITECTURES[experiment.architecture]
    if not sees_video(experiment.pretraining) and (known.images or known.from_images is not None):
        wanted.append((known.image_network, "rgb", experiment.pretraining))
    entries = {(e.architecture, e.stream, e.pretraining): e for e in reversed(list_weights())}
    return next((entries[key] for key in wanted if key in entries), None)


def _check_weights(experiment: Experiment, weights: Weights) -> None:
    from_images = ARCHITECTURES[weights.architecture].images and not sees_video(experiment.pretraining)
    for kind in ("pretraining",) if from_images else ("architecture", "stream", "pretraining"):
        theirs, ours = getattr(weights, kind), getattr(experiment, kind)
        if theirs is not None and theirs != ours:
            raise InputError(
                f"{weights.source} has {kind} '{theirs}', but the experiment's is '{ours}': "
                f"give other weights or --{kind} {theirs}."
            )


def save_cell(cell: Cell, space: Workspace, imports: Iterable[str], path: Path) -> None:
    """Write a cell so that another process can run it, from whichever folder, see `load_cell`."""
    weights = cell.weights
    if weights is not None and Path(weights).exists():  # a path, not a name
        weights = str(Path(weights).absolute())
    cell = replace(cell, root=cell.root.absolute(), weights=weights)
    space = replace(space, runs=space.runs.absolute(), cache=space.cache.absolute())
    content = {"cell": plain(cell), "space": plain(space), "import": list(imports)}
    content["source"] = own.source_of(cell.experiment.dataset)
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode()))


def imports_of(content: Any) -> list[str]:
    """List the modules that a planned cell needs imported before it is loaded.

    Raises:
        InputError: It is something else.
    """
    found = content.get("import") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(module, str) for module in found):
        raise InputError("This is not a planned cell: cells are written by launchers.")
    return found


def load_cell(content: Mapping[str, Any]) -> tuple[Cell, Workspace]:
    """Make the cell, and where things are kept, of what `save_cell` wrote.

    Raises:
        InputError: It is something else.
    """
    try:
        own.restore(content["cell"]["experiment"]["dataset"], content.get("source"))
        cell, space = dict(content["cell"]), dict(content["space"])
        parent = cell.pop("parent")
        made = Cell(
            experiment=Experiment(**cell.pop("experiment")),
            recipe=compose(Recipe(), cell.pop("recipe")),
            root=Path(cell.pop("root")),
            parent=parent and Experiment(**parent),
            differences=tuple(cell.pop("differences")),
            **cell,
        )
        place = Workspace(Path(space.pop("runs")), Path(space.pop("cache")), **space)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"This is not a planned cell ({error}): cells are written by launchers.") from error
    check(made.experiment)
    return made, place
