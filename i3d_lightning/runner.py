"""Runs experiments: finds what they start from, keeps each in a folder named by what it is.

A run is complete when its result file exists, which is written last. A complete run is not run
again, an interrupted one goes on from its last checkpoint, and a folder that holds a run with
other settings is refused, so that a changed setting never returns an old number.
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from i3d_lightning import plan, speed, tracking
from i3d_lightning.datasets.demo import render_demo
from i3d_lightning.datasets.lists import DatasetSplit, read_dataset
from i3d_lightning.files import write_atomically
from i3d_lightning.plan import Experiment, InputError, Recipe
from i3d_lightning.protocols import PROTOCOLS, Job, Outcome
from i3d_lightning.recipes import recipe_for
from i3d_lightning.results import CONFIG, PREDICTIONS, RESULT, Run, load_run
from i3d_lightning.video.flow import FlowStore
from i3d_lightning.weights import Weights, list_weights, load_weights, save_weights

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
FINGERPRINT = "fingerprint.json"


@dataclass(frozen=True)
class Workspace:
    """Where things are kept.

    Attributes:
        runs: Folder of all runs.
        cache: Folder of flow and features, shared by all runs; may be deleted at any time.
        demo: Folder that the demo data sets are rendered into.
        name: A folder below `runs`, to keep runs with other settings apart.
        trainer: Further arguments of Lightning's Trainer: devices, strategy, ...
    """

    runs: Path = Path("runs")
    cache: Path = Path("cache")
    demo: Path = Path("data/demo")
    name: str = ""
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def folder(self, experiment: Experiment) -> Path:
        return self.runs / self.name / experiment.folder


def read_data(experiment: Experiment, root: Path | None, space: Workspace) -> DatasetSplit:
    """The videos of an experiment; demo data sets are rendered where they are not there yet."""
    if plan.is_demo(experiment.dataset):
        root = root or space.demo
        render_demo(root)
    elif root is None:
        raise InputError(f"Say where the videos and lists of {experiment.dataset} are: --root FOLDER.")
    return read_dataset(experiment.dataset, root, experiment.split)


def run(
    experiment: Experiment,
    space: Workspace,
    *,
    root: Path | None = None,
    weights: str | None = None,
    changes: Mapping[str, Any] | None = None,
    settings: Callable[[Experiment], Mapping[str, Any]] | None = None,
) -> Run:
    """Run an experiment, or go on with it, or return it where it is complete.

    Args:
        experiment: What to run.
        space: Where things are kept.
        root: Folder of the data set; the demo sets know theirs.
        weights: Name or path of the weights to start from; None looks for the project's own
            pretraining and then for published weights.
        changes: Settings that differ from the recipe's, nested as `Recipe` is.
        settings: Gives the like for pretraining that has to be run first; by default it shares the
            settings of optical flow and the speed, and has its own recipe for the rest.

    Raises:
        InputError: Something given is wrong, or the folder holds a run with other settings.
    """
    recipe = recipe_for(experiment, changes or {})
    data = read_data(experiment, root, space)
    shared = _shared(changes or {})
    start = starting_weights(experiment, weights, space, root, settings or (lambda pretraining: shared))
    fingerprint = _fingerprint(experiment, recipe, start, data)
    folder = space.folder(experiment)
    _check_fingerprint(folder, fingerprint)

    done = load_run(folder)
    if done is not None:
        log.info("%s is complete: top-1 %.1f %% (not run again).", experiment.name, done.metrics["top1"])
        return done
    _announce(experiment, recipe, data, start, folder)
    began = time.perf_counter()
    if experiment.stream != "rgb" and recipe.training.flow == "stored":
        _compute_flow(data, recipe, space)
    if _is_main():
        _describe(folder, experiment, recipe, start, data, root, fingerprint)
    job = Job(
        experiment,
        recipe,
        data,
        start,
        folder,
        space.cache,
        space.trainer,
        tracking.loggers(experiment, recipe, folder, space.runs),
    )
    try:
        outcome = PROTOCOLS[experiment.protocol](job)
    finally:
        tracking.finish()
    if _is_main():
        _store(folder, job, outcome, time.perf_counter() - began)
    _barrier()
    result = load_run(folder)
    assert result is not None
    _summarise(result)
    return result


def _shared(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Of an experiment's own settings, those that its pretraining takes over."""
    shared = {"flow": changes["flow"]} if "flow" in changes else {}
    wanted = changes.get("training", {}).get("speed")
    return {**shared, "training": {"speed": wanted}} if wanted else shared


def starting_weights(
    experiment: Experiment,
    given: str | None,
    space: Workspace,
    root: Path | None,
    settings: Callable[[Experiment], Mapping[str, Any]],
) -> Weights | None:
    """What an experiment starts from.

    That is the weights given, else the project's own pretraining (which for the demo sets is run
    where it is missing), else the registry's for this architecture, stream and pretraining.
    """
    pretraining = pretraining_run(experiment)
    if pretraining is None:
        if given is not None:
            raise InputError(
                f"Pretraining 'none' starts from nothing: drop --weights {given}, or say --pretraining."
            )
        return None
    if given is not None:
        weights = load_weights(given)
        _check_weights(experiment, weights)
        return weights
    if plan.is_demo(experiment.dataset):
        made = run(pretraining, space, root=root, changes=settings(pretraining), settings=settings)
        return load_weights(str(made.folder / WEIGHTS))
    if load_run(space.folder(pretraining)) is not None:
        return load_weights(str(space.folder(pretraining) / WEIGHTS))
    for entry in list_weights():
        if (entry.architecture, entry.stream, entry.pretraining) == (
            pretraining.architecture,
            pretraining.stream,
            experiment.pretraining,
        ):
            return load_weights(entry.name)
    raise InputError(
        f"No {experiment.architecture} {experiment.stream} weights with pretraining "
        f"'{experiment.pretraining}' are known: give a file with --weights, or train them with i3d pretrain."
    )


def pretraining_run(experiment: Experiment) -> Experiment | None:
    """The run that makes the weights an experiment starts from, None where it starts from nothing."""
    if experiment.pretraining == "none":
        return None
    if experiment.pretraining == "imagenet":
        dataset = plan.pretraining_set(experiment.dataset, "imagenet")
        return Experiment("convnet", "rgb", "none", "origin", dataset)
    return replace(
        experiment,
        dataset=plan.pretraining_set(experiment.dataset, "kinetics"),
        protocol="origin",
        pretraining="imagenet" if experiment.pretraining == "imagenet+kinetics" else "none",
        split=1,
        seed=0,
    )


def _check_weights(experiment: Experiment, weights: Weights) -> None:
    if experiment.pretraining == "imagenet" and weights.architecture == "convnet":
        return  # weights of images start any architecture and stream
    for kind in ("architecture", "stream", "pretraining"):
        theirs, ours = getattr(weights, kind), getattr(experiment, kind)
        if theirs is not None and theirs != ours:
            raise InputError(
                f"{weights.source} has {kind} '{theirs}', but the experiment's is '{ours}': "
                f"give other weights or --{kind} {theirs}."
            )


def _fingerprint(
    experiment: Experiment, recipe: Recipe, weights: Weights | None, data: DatasetSplit
) -> dict[str, Any]:
    """All that a result depends on, but for the code; `fixed` trains no network, so no training settings."""
    settings = plan.plain(recipe)
    training = settings["training"]
    del training["workers"], training["recompute"]  # which change how, not what is computed
    if experiment.protocol == "fixed":
        settings["training"] = {name: training[name] for name in ("speed", "flow")}
    if experiment.stream == "rgb":
        del settings["flow"], settings["training"]["flow"]
    videos = [[(v.id, v.label, v.path.stat().st_size) for v in part] for part in (data.train, data.test)]
    return {
        **settings,
        "weights": weights.sha256 if weights else None,
        "videos": plan.digest(data.classes, videos),
    }


def _check_fingerprint(folder: Path, fingerprint: Mapping[str, Any]) -> None:
    path = folder / FINGERPRINT
    if not path.exists():
        return
    before, now = _flat(json.loads(path.read_text())), _flat(fingerprint)
    differing = [
        f"{key} was {before.get(key)}, now {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise InputError(
            f"{folder} holds a run with other settings ({'; '.join(differing)}): "
            "choose another place with --name NAME, or delete that folder."
        )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _announce(
    experiment: Experiment, recipe: Recipe, data: DatasetSplit, weights: Weights | None, folder: Path
) -> None:
    absent = ""
    if data.missing_train or data.missing_test:
        absent = (
            f"; of the official list {len(data.missing_train)} training and "
            f"{len(data.missing_test)} test videos are missing"
        )
    verb = "Resuming" if (folder / "last.ckpt").exists() else "Running"
    source = f" from {weights.source}" if weights else ""
    log.info(
        "%s %s%s: %d training and %d test videos of %d classes%s, %s.",
        verb, experiment.name, source, len(data.train), len(data.test), len(data.classes), absent,
        speed.choose(recipe.training.speed).description,
    )  # fmt: skip


def _compute_flow(data: DatasetSplit, recipe: Recipe, space: Workspace) -> None:
    store = FlowStore(space.cache / "flow", recipe.flow, recipe.clips.fps, recipe.clips.short_side)
    if _is_main():
        store.compute([video.path for video in (*data.train, *data.test)])


def _describe(
    folder: Path,
    experiment: Experiment,
    recipe: Recipe,
    weights: Weights | None,
    data: DatasetSplit,
    root: Path | None,
    fingerprint: Mapping[str, Any],
) -> None:
    """Write what is about to be run: config, environment and fingerprint."""
    config = {
        "experiment": plan.plain(experiment),
        "recipe": plan.plain(recipe),
        "weights": weights and {"source": weights.source, "sha256": weights.sha256},
        "root": str(root) if root else None,
        "classes": list(data.classes),
    }
    write_atomically(folder / CONFIG, lambda f: f.write(yaml.safe_dump(config, sort_keys=False).encode()))
    _write_json(folder / "environment.json", environment())
    _write_json(folder / FINGERPRINT, fingerprint)


def environment() -> dict[str, Any]:
    """What the code ran on."""
    packages = ("torch", "torchvision", "lightning", "numpy", "av", "opencv-contrib-python-headless")
    commit = None
    if shutil.which("git"):
        here = Path(__file__).parent
        shown = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"],
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


def _store(folder: Path, job: Job, outcome: Outcome, seconds: float) -> None:
    """Write what was found; the result file comes last and makes the run complete."""
    experiment, weights = job.experiment, job.weights
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
        "experiment": plan.plain(experiment),
        "top1": outcome.predictions.accuracy(1),
        "top5": outcome.predictions.accuracy(5),
        "tested_on": job.data.tested_on,
        "videos": len(outcome.predictions.ids),
        "missing": {"train": len(job.data.missing_train), "test": len(job.data.missing_test)},
        "unreadable": outcome.unreadable,
        "weights": weights and {"source": weights.source, "sha256": weights.sha256},
        "metrics": outcome.metrics,
        "seconds": round(seconds, 1),
        "peak_memory": outcome.peak_memory,
    }
    _write_json(folder / RESULT, result)
    (folder / "last.ckpt").unlink(missing_ok=True)


def _pretraining_after(experiment: Experiment) -> plan.Pretraining:
    """What weights have seen once this experiment is done, in the words that a later one asks for."""
    if plan.is_imagenet(experiment.dataset):
        return "imagenet"
    if plan.is_kinetics(experiment.dataset):
        return "imagenet+kinetics" if experiment.pretraining == "imagenet" else "kinetics"
    return experiment.pretraining


def _summarise(run: Run) -> None:
    metrics = run.metrics
    fitted, peak = metrics["metrics"].get("train_top1"), metrics["peak_memory"]
    log.info(
        "%s: top-1 %.1f %%, top-5 %.1f %% on %d test videos%s, in %.0f s%s.",
        run.experiment.name, metrics["top1"], metrics["top5"], metrics["videos"],
        f" ({fitted:.1f} % on the training videos)" if fitted is not None else "", metrics["seconds"],
        f", whole videos in {peak / 1e9:.1f} GB" if peak else "",
    )  # fmt: skip
    for part, consequence in (("train", "left out of training"), ("test", "counted as wrong")):
        for video, why in metrics["unreadable"][part].items():
            log.warning("  %s could not be read and was %s: %s", video, consequence, why)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=2).encode()))


def _is_main() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _barrier() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
