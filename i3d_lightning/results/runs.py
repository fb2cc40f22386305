"""Complete experiments on disk. A run describes itself: nothing here asks which protocols there are."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.results.predictions import Predictions

log = logging.getLogger(__name__)

RESULT = "result.json"
CONFIG = "config.yaml"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Run:
    """A complete experiment on disk.

    Attributes:
        experiment: What was run.
        folder: Where it is.
        metrics: What its result file holds; of its protocol, `order`, `control` and `trains_by_steps`.
    """

    experiment: Experiment
    folder: Path
    metrics: dict[str, Any]

    @cached_property
    def predictions(self) -> Predictions:
        """What it says of every test video."""
        return Predictions.load(self.folder / PREDICTIONS)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(yaml.safe_load((self.folder / CONFIG).read_text())["classes"])


def load_run(folder: Path) -> Run | None:
    """Read the run in a folder, or None where it is not complete.

    Raises:
        InputError: Its result is damaged, or was written by an earlier version.
    """
    try:
        metrics = json.loads((folder / RESULT).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / RESULT} is damaged: delete {folder} and run the experiment again."
        ) from error
    try:
        experiment = Experiment(**metrics["experiment"])
        _ = metrics["protocol"]["order"], metrics["protocol"]["control"]
    except (KeyError, TypeError, InputError) as error:
        raise InputError(
            f"{folder} was made by an earlier version: run it again elsewhere (--name NAME), or delete it."
        ) from error
    return Run(experiment, folder, metrics)


def collect(root: Path) -> list[Run]:
    """List the complete runs below a run folder, but for those kept apart there under a name of their own.

    One that is damaged, or was made by an earlier version, is named in a warning and left out.
    """
    depth = "*/" * len(Experiment("i3d", "rgb", "none", "origin", "ucf101").folder.parts)
    found = []
    for result in sorted(root.glob(depth + RESULT)):
        try:
            run = load_run(result.parent)
            if run is not None:
                _ = run.predictions  # kept by the run: tables need them anyway
                found.append(run)
        except InputError as error:
            log.warning("Left out: %s", error)
    return found
