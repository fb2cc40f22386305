"""Repeats a run from its folder alone, and says whether it came out equal.

What a result depends on must be as it was: settings, seed, data by the digest of the manifest, weights by
sha256, the number of processes, and the versions of code that results have. The environment may differ, and
what differs of it is listed.

A repeat has a place of its own below the runs, named by the run and the environment: the same command goes on
with an interrupted repeat, and anything else begins anew. It has a cache of its own there too, for with flow
and features of the first run it would be partly a copy of it; only weights are taken over.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml

from i3d_lightning import ranks
from i3d_lightning.datasets import own
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Recipe, compose, digest
from i3d_lightning.registry import import_plugins, plugins
from i3d_lightning.results import statistics
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.results.runs import CONFIG, ENVIRONMENT, FINGERPRINT, Run, load_run, read_json
from i3d_lightning.study import run as study_run
from i3d_lightning.study.environment import environment
from i3d_lightning.study.identity import differing
from i3d_lightning.study.planner import WEIGHTS, Cell, check, pretraining_of
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.weights import WEIGHTS as PUBLISHED
from i3d_lightning.weights import load_weights

_CONFIGURED = {"recipe", "weights", "root", "import", "trainer", "preprocessing_differs"}
_SHOWN = 12
"""Characters of a digest that are shown."""


@dataclass(frozen=True)
class Moved:
    """Where things are now that a run found elsewhere; None is where they were.

    Attributes:
        root: Folder of its data set.
        dataset: The user's own list or folder that its data set was made of.
        weights: Name or path of the weights that it started from.
        flow_images: Folder of the flow images that it read.
    """

    root: Path | None = None
    weights: str | None = None
    flow_images: Path | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class Original:
    """A complete run that says how to repeat it.

    Attributes:
        run: The run.
        config: Its settings, and where it found things.
        environment: What it ran on.
        identity: All that its result depends on.
    """

    run: Run
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    identity: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.run.experiment.name

    @property
    def processes(self) -> int | None:
        """How many trained together, None where nothing depends on it."""
        return self.identity.get("processes")


@dataclass(frozen=True)
class Repeat:
    """A run that is about to be repeated.

    Attributes:
        original: The first time.
        cell: The same, with things where they are now.
        space: Where it is kept.
        differs: What is not as the first time, though it should not matter: what it was, and is now.
    """

    original: Original
    cell: Cell
    space: Workspace
    differs: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Outcome:
    """How a repeat came out.

    Attributes:
        equal: Whether all predictions are equal bit for bit.
        top1: Of the first time and now, in percent.
        videos: Number of test videos.
        changed: Those that have another answer now, or can be read only now or no longer.
        largest: The largest difference of a logit, over the videos that were read both times.
        p: Of the comparison of both top-1.
    """

    equal: bool
    top1: tuple[float, float]
    videos: int
    changed: int
    largest: float
    p: float

    def __str__(self) -> str:
        before, now = self.top1
        if self.equal:
            return f"Equal: all {self.videos} predictions bit for bit (top-1 {before:.1f} %)."
        return (
            f"Different: top-1 {before:.1f} % then, {now:.1f} % now (p = {self.p:.2g}); {self.changed} of "
            f"{self.videos} videos changed their answer, and logits differ by up to {self.largest:.2g}."
        )


def read(folder: Path) -> Original:
    """Read what a run says of itself, and import the modules that it was made with.

    Raises:
        InputError: There is no complete run, it is damaged or of an earlier version, or a module is gone.
    """
    run = load_run(folder)
    if run is None:
        raise InputError(f"{folder} holds no complete run: give the folder of one, such as those below runs.")
    config = yaml.safe_load((folder / CONFIG).read_text())  # whose bytes are those that the result names
    before, identity = read_json(folder / ENVIRONMENT), read_json(folder / FINGERPRINT)
    if before is None or identity is None or not config.keys() >= _CONFIGURED or "source" not in before:
        raise InputError(
            f"{folder} was made by an earlier version, which did not say all that a repeat needs: run it "
            "again elsewhere (--name NAME)."
        )
    for module in config["import"]:
        _import(module, folder)
    return Original(run, config, before, identity)


def _import(module: str, folder: Path) -> None:
    """Import what a run was made with, unless it was imported already, maybe from elsewhere."""
    path = Path(module)
    is_file = path.suffix == ".py"
    if (path.stem if is_file else module) in plugins():
        return
    if is_file and not path.exists():
        raise InputError(f"{folder} was made with {module}, which is gone: say --import and where it is now.")
    import_plugins([module])


def prepare(original: Original, space: Workspace, moved: Moved, *, fresh: bool, dry: bool = False) -> Repeat:
    """Make sure that a run can be repeated, and find out what is not as the first time.

    Args:
        original: The run.
        space: Where runs and caches are kept; the repeat gets a folder of its own below.
        moved: Where things are now.
        fresh: Whether to compute flow and features anew; else those in the cache of `space` are used.
        dry: Whether nothing will be run: other processes that a run needs are not started, nothing is kept.

    Raises:
        InputError: Something that its result depends on is gone or not as it was.
    """
    trainer = dict(space.trainer) or original.config["trainer"]
    if not dry:
        ranks.start(trainer)
        _check_processes(original)
    torch.set_num_threads(original.environment["cpu_threads"])  # sums depend on how they are divided
    cell = _cell(original, moved)
    now = {**environment(), "trainer": trainer}
    before = {**original.environment, "trainer": original.config["trainer"]}
    for described in (now, before):
        described.pop("command", None)
    with ranks.together(original.name):
        key = ranks.by_first(lambda: digest(original.run.metrics, now, fresh))[:_SHOWN]
        space = Workspace(space.runs, space.cache, f"{space.name or 'rerun'}/{key}", trainer)
        if fresh:
            space = replace(space, cache=space.root / "cache")
        with TemporaryDirectory() if dry and fresh else nullcontext(space.cache) as cache:
            found = study_run.identity_of(cell, replace(space, cache=Path(cache)), original.processes)
        _check_identity(original, found, cell)
    return Repeat(original, cell, space, differing(before, now))


def run(repeat: Repeat) -> Run:
    """Repeat a run, go on with it, or return it where that was done; a cache of its own is deleted then."""
    done = study_run.run(repeat.cell, repeat.space)
    own = repeat.space.root / "cache"
    if repeat.space.cache == own and ranks.is_first():
        shutil.rmtree(own, ignore_errors=True)
    return done


def compare(before: Predictions, now: Predictions, dataset: str) -> Outcome:
    """Compare the predictions of a run on a data set and of its repeat."""
    both = before.readable & now.readable
    difference = np.abs(before.logits[both].astype(np.float64) - now.logits[both])
    return Outcome(
        equal=(
            before.ids == now.ids
            and np.array_equal(before.labels, now.labels)
            and np.array_equal(before.logits, now.logits, equal_nan=True)
        ),
        top1=(before.accuracy(), now.accuracy()),
        videos=len(before.ids),
        changed=int((before.answers() != now.answers()).sum()),
        largest=float(difference.max(initial=0.0)),
        p=statistics.compare([[before]], [[now]], dataset).p,
    )


def _check_processes(original: Original) -> None:
    if original.processes not in (None, ranks.size()):
        raise InputError(
            f"{original.name} was made by {original.processes} processes, each of which normalises its own "
            f"batch, but now there are {ranks.size()}: start as many "
            f"(--trainer '{{devices: {original.processes}}}')."
        )


def _cell(original: Original, moved: Moved) -> Cell:
    """The cell that was run, with things where they are now."""
    config, experiment = original.config, original.run.experiment
    own.restore(experiment.dataset, config.get("source"), moved.root, moved.dataset)
    check(experiment)
    recipe = compose(Recipe(), config["recipe"])
    if moved.flow_images is not None:
        if not recipe.flow.images:
            raise InputError(f"{original.name} read no flow images: drop --flow_images {moved.flow_images}.")
        recipe = compose(recipe, {"flow": {"source": str(moved.flow_images)}})
    weights = _weights(original, moved.weights)
    sha256 = config["weights"] and config["weights"]["sha256"]
    return Cell(
        experiment,
        recipe,
        _root(original, moved.root),
        weights,
        sha256,
        differences=tuple(config["preprocessing_differs"]),
        hold_out=config["hold_out"],
    )


def _root(original: Original, said: Path | None) -> Path:
    """The folder said, or where the data set was, or where the rendered ones are made."""
    dataset, before = DATASETS[original.run.experiment.dataset], Path(original.config["root"])
    if dataset.source is not None and dataset.own_list is None:  # a folder, which is its own root
        before = dataset.source
    root = said or (before if before.is_dir() or dataset.root is None else dataset.root)
    if dataset.prepare is None and not root.is_dir():
        raise InputError(f"{root} is not a folder: say where {dataset.name} is now with --root.")
    return root


def _weights(original: Original, said: str | None) -> str | None:
    """The weights said, or those by the name or at the path they had, or in the same tree of runs."""
    before = original.config["weights"]
    if before is None:
        if said is not None:
            raise InputError(f"{original.name} started from scratch: drop --weights {said}.")
        return None
    places = [before["source"], *_beside(original)] if said is None else [said]
    there = [place for place in places if place in PUBLISHED or Path(place).exists()]
    if not there:
        of = f" of {before['provenance']}" if before["provenance"] else ""
        raise InputError(
            f"{original.name} started from weights{of} (sha256 {before['sha256'][:_SHOWN]}), but there is no "
            f"{places[0]}: say where they are with --weights."
        )
    for place in there:
        if load_weights(place).sha256 == before["sha256"]:
            return place
    raise InputError(
        f"{there[0]} is not what {original.name} started from (sha256 {before['sha256'][:_SHOWN]}, now "
        f"{load_weights(there[0]).sha256[:_SHOWN]}): say where these weights are with --weights."
    )


def _beside(original: Original) -> list[str]:
    """Where pretraining of one's own is, if the runs were moved together."""
    experiment = original.run.experiment
    before: Experiment | None = pretraining_of(experiment)
    if before is None:
        return []
    runs = original.run.folder.absolute().parents[len(experiment.folder.parts) - 1]
    return [str(runs / before.folder / WEIGHTS)]


def _check_identity(original: Original, now: Mapping[str, Any], cell: Cell) -> None:
    """Refuse what would be another run."""
    changes = differing(original.identity, now)
    changed = changes.get("data") or changes.get("list")
    if changed and all(changed):
        raise InputError(
            f"{cell.experiment.dataset} in {cell.root} is not what {original.name} saw (its classes, labels, "
            f"groups and contents have the digest {changed[1][:_SHOWN]}, then {changed[0][:_SHOWN]}): say "
            "where it is unchanged with --root."
        )
    if "flow.source" in changes:
        raise InputError(
            f"The flow images in {cell.recipe.flow.source} are not those that {original.name} read (by their "
            "names, sizes and times): say where they are unchanged with --flow_images."
        )
    if changes:
        listed = "; ".join(f"{key} was {old}, now {new}" for key, (old, new) in changes.items())
        raise InputError(
            f"{original.name} cannot be repeated with this version of the software, which computes something "
            f"else ({listed}): check out the one that made it ({original.environment['code']})."
        )
