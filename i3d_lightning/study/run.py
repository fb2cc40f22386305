"""Runs one planned cell in a folder named by what it is: resumes it, stores it, refuses to mix settings.

A run is complete when its result file exists, which is written last. A complete run is not run
again, an interrupted one goes on from its last checkpoint, and a folder that holds a run with
another identity is refused, so that a changed setting never returns an old number. One process at a time
holds the folder, from before it looks at what is there until the run is complete.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from i3d_lightning import interruption, ranks
from i3d_lightning.datasets import own
from i3d_lightning.datasets.folds import without_test
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.datasets.split import DEVELOPMENT, HELD_OUT, DatasetSplit
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import RANDOM, Experiment, after
from i3d_lightning.files import file_sha256, write_atomically
from i3d_lightning.flow import FlowStore
from i3d_lightning.flow.image_folders import folder_of_images
from i3d_lightning.lease import Holder, held
from i3d_lightning.protocols.base import PROTOCOLS, Job, Outcome
from i3d_lightning.recipe import Recipe, compose, digest, plain
from i3d_lightning.registry import imported
from i3d_lightning.results.reading import PARTS, Reading, without
from i3d_lightning.results.runs import (
    CONFIG,
    ENVIRONMENT,
    FINGERPRINT,
    PREDICTIONS,
    RESULT,
    Run,
    load_run,
    read_json,
    write_json,
    write_result,
)
from i3d_lightning.study import tracking
from i3d_lightning.study.cells import is_control
from i3d_lightning.study.environment import environment
from i3d_lightning.study.flow import compute_flow
from i3d_lightning.study.identity import check_alike, check_same, features_identity, run_identity, settings_of
from i3d_lightning.study.planner import WEIGHTS, Cell
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training import checkpoints, precision
from i3d_lightning.weights import WEIGHTS as PUBLISHED
from i3d_lightning.weights import Weights, load_weights, save_weights

log = logging.getLogger(__name__)


class _Resolved(NamedTuple):
    """All that a result depends on, with what `auto` comes to."""

    recipe: Recipe
    features: dict[str, Any]
    identity: dict[str, Any]


def run(cell: Cell, space: Workspace) -> Run:
    """Run a cell, or go on with it, or return it where it is complete.

    Where another process runs it, that is waited for. Where it has several processes of its own, all come
    here; the first decides, and what fails on one fails on all.

    Args:
        cell: What to run; the pretraining that it starts from must be complete.
        space: Where things are kept.

    Raises:
        InputError: Something given is wrong, or the folder holds a run with another identity.
    """
    ranks.start(space.trainer)
    with ranks.together(cell.experiment.name):
        return _run_or_load(cell, space)


def _run_or_load(cell: Cell, space: Workspace) -> Run:
    experiment, folder = cell.experiment, space.folder(cell.experiment)
    data, data_digest = _data(cell, space)
    start, sha256 = ranks.by_first(lambda: _start(cell, space))

    def identify(recipe: Recipe, processes: int | None) -> _Resolved:
        return _identify(cell, recipe, data_digest, data.whole, sha256, processes)

    def resolve(holder: Holder | None = None) -> _Resolved:
        """What the result depends on, settled and required as where it was started before."""
        before = read_json(folder / FINGERPRINT)
        found = identify(
            _with_precision(cell.recipe, before), before.get("processes") if before else _processes(cell)
        )
        if before is not None:
            check_same(before, found.identity, folder, holder)
        return found

    done = ranks.by_first(lambda: load_run(folder))
    if done is not None:
        ranks.by_first(resolve)
        return _known(done)
    with _alone(folder, experiment.name, resolve):
        recipe, features, identity = ranks.by_first(resolve)
        check_alike(identify(recipe, identity.get("processes")).identity)
        done = ranks.by_first(lambda: load_run(folder))
        if done is not None:  # by whom we waited for
            return _known(done)
        _check_precision(cell, recipe, folder)
        _check_processes(identity.get("processes"), _processes(cell), folder)
        weights = load_weights(start, sha256, experiment.architecture) if start is not None else None
        job = Job(
            experiment,
            recipe,
            data,
            weights,
            folder,
            space.cache,
            features,
            space.trainer,
            identity=digest(identity),
        )
        _run(cell, space, job, identity)
        result = ranks.by_first(lambda: load_run(folder))
    assert result is not None
    _summarise(result, mixed=bool(recipe.training.mixup))
    return result


def _data(cell: Cell, space: Workspace) -> tuple[DatasetSplit, str]:
    """The videos of a cell, and their digest: of the official split, or with others than its test videos."""
    experiment = cell.experiment
    manifest = load_manifest(experiment.dataset, cell.root, experiment.split, space.cache / "manifests")
    if not cell.hold_out:
        return manifest.data, manifest.digest
    data = without_test(manifest.data, cell.hold_out)
    return data, data.digest


def identity_of(cell: Cell, space: Workspace, processes: int | None) -> dict[str, Any]:
    """List all that the result of a cell would depend on, as data and weights are now; nothing is run.

    Args:
        cell: The cell; the pretraining that it starts from must be complete.
        space: Where things are kept.
        processes: How many train together, None where nothing depends on it.
    """
    data, data_digest = _data(cell, space)
    _, sha256 = ranks.by_first(lambda: _start(cell, space))
    recipe = _with_precision(cell.recipe, None)
    return _identify(cell, recipe, data_digest, data.whole, sha256, processes).identity


def _identify(
    cell: Cell, recipe: Recipe, data: str, whole: str, weights: str | None, processes: int | None
) -> _Resolved:
    features = features_identity(cell.experiment, recipe, weights, cell.new_layers)
    identity = run_identity(cell.experiment, recipe, features, data, processes, cell.hold_out, whole)
    return _Resolved(recipe, features, identity)


def _alone(folder: Path, what: str, meanwhile: Callable[[Holder], object]) -> AbstractContextManager[None]:
    """Hold a run's folder; of several processes that share the run the first does, for all."""
    return held(folder, what, meanwhile) if ranks.is_first() else nullcontext()


def _known(done: Run) -> Run:
    log.info("%s is complete: top-1 %.1f %% (not run again).", done.experiment.name, done.metrics["top1"])
    return done


def _run(cell: Cell, space: Workspace, job: Job, identity: Mapping[str, Any]) -> None:
    _announce(cell, job)
    began = time.perf_counter()
    if ranks.is_first():
        _describe(cell, job, identity, space)  # first, so that whoever waits knows what for
    if job.experiment.stream != "rgb" and job.recipe.flow.source == "stored":
        _compute_flow(job)
    loggers = tracking.loggers(job.experiment, job.recipe, job.folder, space.runs, space.name)
    job = replace(job, loggers=loggers)
    try:
        outcome = PROTOCOLS[job.experiment.protocol].run(job)
    finally:
        tracking.finish()
    if ranks.is_first():
        with interruption.deferred():
            _store(cell, job, outcome, identity, time.perf_counter() - began)


def _start(cell: Cell, space: Workspace) -> tuple[str | None, str | None]:
    """The weights that a cell starts from, by name or path, and their sha256."""
    if cell.parent is None:
        if cell.weights is None:
            return None, None
        return cell.weights, load_weights(cell.weights, cell.sha256, cell.experiment.architecture).sha256
    folder = space.folder(cell.parent)
    before = load_run(folder)
    if before is None:
        raise InputError(
            f"{cell.experiment.name} starts from {cell.parent.name}, which is not complete: run that first."
        )
    return str(folder / WEIGHTS), before.metrics["weights_sha256"]


def _with_precision(recipe: Recipe, before: Mapping[str, Any] | None) -> Recipe:
    """The recipe with the precision that `auto` comes to: at the first start, and from then on."""
    if recipe.training.precision != "auto":
        return recipe
    settled = (before or {}).get("precision") or precision.resolve("auto")
    return compose(recipe, {"training": {"precision": settled}})


def _check_precision(cell: Cell, recipe: Recipe, folder: Path) -> None:
    """Refuse to go on by `auto` in a precision that this machine would not choose."""
    stored, here = recipe.training.precision, precision.resolve(cell.recipe.training.precision)
    if here != stored:
        raise InputError(
            f"{folder} holds an unfinished run in {stored}, but 'auto' is {here} on this "
            f"machine: go on with --precision {stored} (which may be slow here), or choose another place "
            "with --name NAME."
        )


def _processes(cell: Cell) -> int | None:
    """How many processes train together, None where nothing depends on it: each normalises its own batch."""
    return ranks.size() if PROTOCOLS[cell.experiment.protocol].trains_by_steps else None


def _check_processes(stored: int | None, here: int | None, folder: Path) -> None:
    """Refuse to go on with another number of processes."""
    if here != stored:
        raise InputError(
            f"{folder} holds an unfinished run by {stored} processes, each of which normalises its own "
            f"batch, but now there are {here}: go on with as many (--trainer '{{devices: {stored}}}'), or "
            "choose another place with --name NAME."
        )


def _announce(cell: Cell, job: Job) -> None:
    data, absent = job.data, ""
    if data.missing_train or data.missing_test:
        absent = (
            f"; of the official list {len(data.missing_train)} training and "
            f"{len(data.missing_test)} test videos are missing"
        )
    verb = "Resuming" if checkpoints.exists(job.folder) else "Running"
    source = f" from {job.weights.source}" if job.weights else ""
    log.info(
        "%s %s%s: %d training videos and %d %s, of %d classes%s, %s.",
        verb, job.experiment.name, source, len(data.train), len(data.test), _tested_on(data.tested_on),
        len(data.classes), absent,
        precision.describe(job.recipe.training.precision, job.recipe.training.compile),
    )  # fmt: skip
    if job.experiment.pretraining == RANDOM:
        log.warning(
            "  Its weights are random: this is a control, how far features go that nothing was learnt by."
        )
    for difference in cell.differences:
        log.warning("  Preprocessing differs from that of the weights: %s.", difference)


def _tested_on(part: str) -> str:
    """What the videos that are tested on are, in words."""
    return {HELD_OUT: f"videos {HELD_OUT}", DEVELOPMENT: f"{DEVELOPMENT} videos"}.get(part, "test videos")


def _compute_flow(job: Job) -> None:
    clips = job.recipe.clips
    store = FlowStore(job.cache / "flow", job.recipe.flow, clips.fps, clips.short_side)
    compute_flow([video.file for video in (*job.data.train, *job.data.test)], store, job.data.name)


def _source(weights: Weights | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    published = weights.source in PUBLISHED
    return {
        "source": weights.source if published else str(Path(weights.source).absolute()),
        "sha256": weights.sha256,
        "provenance": weights.provenance,
    }


def _describe(cell: Cell, job: Job, identity: Mapping[str, Any], space: Workspace) -> None:
    """Write what is about to be run, all that `study.rerun` needs: config, environment and fingerprint."""
    recipe = job.recipe
    if recipe.flow.images:
        recipe = compose(recipe, {"flow": {"source": str(folder_of_images(recipe.flow.source))}})
    config = {
        "experiment": plain(job.experiment),
        "recipe": plain(recipe),
        "weights": _source(job.weights),
        "preprocessing_differs": list(cell.differences),
        "root": str(cell.root.absolute()),
        "source": own.source_of(job.experiment.dataset),
        "hold_out": cell.hold_out,
        "import": list(imported()),
        "trainer": plain(space.trainer),
        "classes": list(job.data.classes),
    }
    text = yaml.safe_dump(config, sort_keys=False)
    write_atomically(job.folder / CONFIG, lambda file: file.write(text.encode()))
    write_json(job.folder / ENVIRONMENT, environment())
    write_json(job.folder / FINGERPRINT, identity)


def _store(cell: Cell, job: Job, outcome: Outcome, identity: Mapping[str, Any], seconds: float) -> None:
    """Write what was found; the result file comes last and makes the run complete."""
    experiment, folder = job.experiment, job.folder
    _check_complete(job, outcome)
    outcome.predictions.save(folder / PREDICTIONS)
    save_weights(
        folder / WEIGHTS,
        outcome.network,
        architecture=experiment.architecture,
        stream=experiment.stream,
        pretraining=_pretraining_after(experiment),
        labels=job.data.classes,
        clips=job.recipe.clips,
        flow=job.recipe.flow,
        provenance=experiment.name,
    )
    result = {
        "experiment": plain(experiment),
        "protocol": {
            "order": PROTOCOLS[experiment.protocol].order,
            "control": is_control(experiment),
            "trains_by_steps": PROTOCOLS[experiment.protocol].trains_by_steps,
        },
        "identity": digest(identity),
        "settings": digest(settings_of(identity)),
        "data": identity["data"],
        **({"list": identity["list"]} if "list" in identity else {}),
        "splits": list(DATASETS[experiment.dataset].splits),
        "groups_known": DATASETS[experiment.dataset].groups,
        **outcome.predictions.as_json(),
        "tested_on": job.data.tested_on,
        "near_duplicates": job.data.near_duplicates,
        "videos": len(outcome.predictions.ids),
        "missing": {"train": len(job.data.missing_train), "test": len(job.data.missing_test)},
        "train_videos": len(job.data.train),
        "unreadable": outcome.unreadable,
        "partly_read": without(outcome.partly, outcome.unreadable),
        "weights": _source(job.weights),
        "weights_sha256": file_sha256(folder / WEIGHTS),
        "preprocessing_differs": list(cell.differences),
        "metrics": outcome.metrics,
        "seconds": round(seconds, 1),
        "peak_memory": outcome.peak_memory,
    }
    write_result(folder, result)
    checkpoints.remove(folder)


def _check_complete(job: Job, outcome: Outcome) -> None:
    """Refuse a result that does not account for every test video, once each, as the data set has it."""
    test, found = job.data.test, outcome.predictions
    told = zip(found.ids, found.labels.tolist(), found.groups, found.leaked.tolist(), strict=True)
    if list(told) != [(video.id, video.label, video.group, video.leaked) for video in test]:
        raise InputError(
            f"{job.experiment.name} is not complete: its {len(found.ids)} predictions are not of the "
            f"{len(test)} test videos; nothing is stored."
        )
    lost = {video for video, read in zip(found.ids, found.readable, strict=True) if not read}
    if odd := sorted(lost ^ set(outcome.unreadable["test"])):
        raise InputError(
            f"{job.experiment.name} is not complete: {len(odd)} test videos such as {odd[0]} were neither "
            "predicted nor found unreadable, or both; nothing is stored."
        )


def _pretraining_after(experiment: Experiment) -> str:
    """What weights have seen once this experiment is done, in the words that a later one asks for."""
    return after(experiment.pretraining, DATASETS[experiment.dataset].teaches or experiment.dataset)


def _summarise(done: Run, mixed: bool = False) -> None:
    metrics = done.metrics
    found, peak = metrics["metrics"], metrics["peak_memory"]
    fitted = found.get("train_top1", 100.0 * found["fit/top1"] if "fit/top1" in found else None)
    clips = " of mixed clips" if mixed else ""
    log.info(
        "%s: top-1 %.1f %%%s on %d %s%s, in %.0f s%s.",
        done.experiment.name, metrics["top1"],
        f", top-5 {metrics['top5']:.1f} %" if metrics["top5"] is not None else "", metrics["videos"],
        _tested_on(metrics["tested_on"]),
        f" ({fitted:.1f} %{clips} in training)" if fitted is not None else "", metrics["seconds"],
        f", whole videos in {peak / 1e9:.1f} GB" if peak else "",
    )  # fmt: skip
    reading = Reading.of(metrics)
    for part, consequence in (("train", "left out of training"), ("test", "counted as wrong")):
        lost, partly = reading.unreadable.get(part, {}), reading.partly.get(part, {})
        _name_some(
            [f"{video} could not be read and was {consequence}: {why}" for video, why in lost.items()],
            f"{PARTS[part]} videos could not be read",
            done.folder,
        )
        _name_some(
            [f"{video} was partly read: {much}" for video, much in partly.items()],
            f"{PARTS[part]} videos were partly read",
            done.folder,
        )


_SOME = 5
"""Videos named in the log of those of which the same is said."""


def _name_some(lines: Sequence[str], what: str, folder: Path) -> None:
    for line in lines[:_SOME]:
        log.warning("  %s", line)
    if lines[_SOME:]:
        log.warning("  and %d more %s: see %s", len(lines) - _SOME, what, folder / RESULT)
