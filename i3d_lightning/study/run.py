"""Runs one planned cell in a folder named by what it is: resumes it, stores it, refuses to mix settings.

A run is complete when its result file exists, which is written last. A complete run is not run
again, an interrupted one goes on from its last checkpoint, and a folder that holds a run with
another identity is refused, so that a changed setting never returns an old number.
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from i3d_lightning import ranks
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment, after
from i3d_lightning.files import file_sha256, write_atomically
from i3d_lightning.flow import FlowStore
from i3d_lightning.protocols.base import CHECKPOINT, PROTOCOLS, Job, Outcome
from i3d_lightning.recipe import Recipe, compose, digest, plain
from i3d_lightning.results.runs import CONFIG, PREDICTIONS, RESULT, Run, load_run
from i3d_lightning.study import tracking
from i3d_lightning.study.flow import compute_flow
from i3d_lightning.study.identity import check_alike, check_same, features_identity, run_identity
from i3d_lightning.study.planner import WEIGHTS, Cell, is_control
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training import precision
from i3d_lightning.weights import Weights, load_weights, save_weights

log = logging.getLogger(__name__)

FINGERPRINT = "fingerprint.json"


def run(cell: Cell, space: Workspace) -> Run:
    """Run a cell, or go on with it, or return it where it is complete.

    Where it has several processes, all come here; the first decides, and what fails on one fails on all.

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
    manifest = load_manifest(experiment.dataset, cell.root, experiment.split, space.cache / "manifests")
    start, sha256 = ranks.by_first(lambda: _start(cell, space))
    before = ranks.by_first(lambda: _stored_identity(folder))
    recipe = ranks.by_first(lambda: _with_precision(cell.recipe, before))
    features = features_identity(experiment, recipe, sha256, cell.from_images)
    identity = run_identity(experiment, recipe, features, manifest.digest)
    check_alike(identity)
    if before is not None:
        check_same(before, identity, folder)
    done = ranks.by_first(lambda: load_run(folder))
    if done is not None:
        log.info("%s is complete: top-1 %.1f %% (not run again).", experiment.name, done.metrics["top1"])
        return done
    _check_precision(cell, recipe, folder)
    weights = load_weights(start, sha256) if start is not None else None
    job = Job(
        experiment,
        recipe,
        manifest.data,
        weights,
        folder,
        space.cache,
        features,
        space.trainer,
    )
    _run(cell, space, job, identity)
    result = ranks.by_first(lambda: load_run(folder))
    assert result is not None
    _summarise(result)
    return result


def _run(cell: Cell, space: Workspace, job: Job, identity: Mapping[str, Any]) -> None:
    _announce(cell, job)
    began = time.perf_counter()
    if job.experiment.stream != "rgb" and job.recipe.flow.source == "stored":
        _compute_flow(job)
    if ranks.is_first():
        _describe(cell, job, identity)
    job = replace(job, loggers=tracking.loggers(job.experiment, job.recipe, job.folder, space.runs))
    try:
        outcome = PROTOCOLS[job.experiment.protocol].run(job)
    finally:
        tracking.finish()
    if ranks.is_first():
        _store(cell, job, outcome, identity, time.perf_counter() - began)


def _start(cell: Cell, space: Workspace) -> tuple[str | None, str | None]:
    """The weights that a cell starts from, by name or path, and their sha256."""
    if cell.parent is None:
        return cell.weights, cell.weights and load_weights(cell.weights).sha256
    folder = space.folder(cell.parent)
    before = load_run(folder)
    if before is None:
        raise InputError(
            f"{cell.experiment.name} starts from {cell.parent.name}, which is not complete: run that first."
        )
    return str(folder / WEIGHTS), before.metrics["weights_sha256"]


def _stored_identity(folder: Path) -> dict[str, Any] | None:
    """The identity of the run that the folder holds, if it holds one."""
    path = folder / FINGERPRINT
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is damaged: delete {folder} and run the experiment again.") from error


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


def _announce(cell: Cell, job: Job) -> None:
    data, absent = job.data, ""
    if data.missing_train or data.missing_test:
        absent = (
            f"; of the official list {len(data.missing_train)} training and "
            f"{len(data.missing_test)} test videos are missing"
        )
    verb = "Resuming" if (job.folder / CHECKPOINT).exists() else "Running"
    source = f" from {job.weights.source}" if job.weights else ""
    log.info(
        "%s %s%s: %d training and %d test videos of %d classes%s, %s.",
        verb, job.experiment.name, source, len(data.train), len(data.test), len(data.classes), absent,
        precision.describe(job.recipe.training.precision, job.recipe.training.compile),
    )  # fmt: skip
    for difference in cell.differences:
        log.warning("  Preprocessing differs from that of the weights: %s.", difference)


def _compute_flow(job: Job) -> None:
    clips = job.recipe.clips
    store = FlowStore(job.cache / "flow", job.recipe.flow, clips.fps, clips.short_side)
    compute_flow([video.file for video in (*job.data.train, *job.data.test)], store, job.data.name)


def _source(weights: Weights | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    return {
        "source": weights.source,
        "sha256": weights.sha256,
        "provenance": weights.provenance,
    }


def _describe(cell: Cell, job: Job, identity: Mapping[str, Any]) -> None:
    """Write what is about to be run: config, environment and fingerprint."""
    config = {
        "experiment": plain(job.experiment),
        "recipe": plain(job.recipe),
        "weights": _source(job.weights),
        "preprocessing_differs": list(cell.differences),
        "root": str(cell.root),
        "classes": list(job.data.classes),
    }
    text = yaml.safe_dump(config, sort_keys=False)
    write_atomically(job.folder / CONFIG, lambda file: file.write(text.encode()))
    _write_json(job.folder / "environment.json", environment())
    _write_json(job.folder / FINGERPRINT, identity)


def environment() -> dict[str, Any]:
    """Describe what the code runs on."""
    packages = ("i3d-lightning", "torch", "torchvision", "lightning", "numpy", "av")
    commit = None
    if shutil.which("git"):
        shown = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        )
        commit = shown.stdout.strip() or None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "code": commit,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["cpu"],
        "cpu_threads": torch.get_num_threads(),
        "command": sys.argv,
    }


def _store(cell: Cell, job: Job, outcome: Outcome, identity: Mapping[str, Any], seconds: float) -> None:
    """Write what was found; the result file comes last and makes the run complete."""
    experiment, folder = job.experiment, job.folder
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
        "top1": outcome.predictions.accuracy(1),
        "top5": outcome.predictions.accuracy(5),
        "tested_on": job.data.tested_on,
        "videos": len(outcome.predictions.ids),
        "missing": {"train": len(job.data.missing_train), "test": len(job.data.missing_test)},
        "unreadable": outcome.unreadable,
        "weights": _source(job.weights),
        "weights_sha256": file_sha256(folder / WEIGHTS),
        "preprocessing_differs": list(cell.differences),
        "metrics": outcome.metrics,
        "seconds": round(seconds, 1),
        "peak_memory": outcome.peak_memory,
    }
    _write_json(folder / RESULT, result)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _pretraining_after(experiment: Experiment) -> str:
    """What weights have seen once this experiment is done, in the words that a later one asks for."""
    return after(experiment.pretraining, DATASETS[experiment.dataset].teaches or experiment.dataset)


def _summarise(done: Run) -> None:
    metrics = done.metrics
    fitted, peak = metrics["metrics"].get("train_top1"), metrics["peak_memory"]
    log.info(
        "%s: top-1 %.1f %%, top-5 %.1f %% on %d test videos%s, in %.0f s%s.",
        done.experiment.name, metrics["top1"], metrics["top5"], metrics["videos"],
        f" ({fitted:.1f} % on the training videos)" if fitted is not None else "", metrics["seconds"],
        f", whole videos in {peak / 1e9:.1f} GB" if peak else "",
    )  # fmt: skip
    for part, consequence in (("train", "left out of training"), ("test", "counted as wrong")):
        for video, why in metrics["unreadable"][part].items():
            log.warning("  %s could not be read and was %s: %s", video, consequence, why)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=2).encode()))
