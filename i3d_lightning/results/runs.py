"""Complete experiments on disk. A run describes itself: nothing here asks which protocols there are.

Its result names the bytes of all that belongs to it, and of itself: what is damaged is never a number.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.files import file_sha256, write_atomically
from i3d_lightning.recipe import Clips, Recipe, compose, digest
from i3d_lightning.results.predictions import Predictions

log = logging.getLogger(__name__)

VERSION = 3
"""Raised when a result would say something else of the same run, or says it otherwise."""

RESULT = "result.json"
CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
FINGERPRINT = "fingerprint.json"
PREDICTIONS = "predictions.npz"
_SEALED = (CONFIG, ENVIRONMENT, PREDICTIONS)
"""Files with whose bytes a result stands or falls."""


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
        """What it says of every test video.

        Raises:
            InputError: They are damaged, or not what its result says of them.
        """
        found = Predictions.load(self.folder / PREDICTIONS)
        lost = {video for video, read in zip(found.ids, found.readable, strict=True) if not read}
        if lost != set(self.metrics["unreadable"]["test"]) or found.logits.shape[1] != len(self.classes):
            raise _damaged(self.folder / PREDICTIONS)
        return found

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        try:
            return tuple(self._config["classes"])
        except (TypeError, KeyError) as error:
            raise _damaged(self.folder / CONFIG) from error

    @property
    def clips(self) -> Clips | None:
        """How it saw videos; None where its configuration says nothing of it that is known here."""
        try:
            return compose(Recipe(), {"clips": self._config["recipe"]["clips"]}).clips
        except (TypeError, KeyError, InputError):
            return None

    @cached_property
    def _config(self) -> dict[str, Any]:
        try:
            return dict(yaml.safe_load((self.folder / CONFIG).read_text()))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise _damaged(self.folder / CONFIG) from error


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write a result, which makes a run complete, once all else that belongs to it is there.

    Args:
        folder: Of the run.
        result: What to write; `identity` is the digest of its fingerprint.
    """
    files = {name: file_sha256(folder / name) for name in _SEALED}
    sealed = {"version": VERSION, **result, "files": files}
    write_json(folder / RESULT, {**sealed, "digest": _digest(sealed)})


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all."""
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=2).encode()))


def read_json(path: Path) -> dict[str, Any] | None:
    """Read what `write_json` wrote, None where there is no file.

    Raises:
        InputError: It is damaged, or cannot be read.
    """
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): change its permissions.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(content, dict):
        raise _damaged(path)
    return content


def load_run(folder: Path) -> Run | None:
    """Read the run in a folder, or None where it is not complete.

    Raises:
        InputError: It is damaged, was written by an earlier version, or is another experiment's.
    """
    metrics = read_json(folder / RESULT)
    if metrics is None:
        return None
    if "version" in metrics and metrics.get("digest") != _digest(metrics):
        raise _damaged(folder / RESULT)
    try:
        experiment = Experiment(**metrics["experiment"])
        known = metrics["version"] == VERSION
    except (TypeError, KeyError, InputError):
        known = False
    if not known:
        raise InputError(
            f"{folder} was made by an earlier version: run it again elsewhere (--name NAME), or delete it."
        )
    if folder.absolute().parts[-len(experiment.folder.parts) :] != experiment.folder.parts:
        raise InputError(
            f"{folder} holds a run of {experiment.name}: move it to where that belongs, or delete it."
        )
    if digest(read_json(folder / FINGERPRINT)) != metrics["identity"]:
        raise _damaged(folder / FINGERPRINT)
    for name, sha256 in metrics["files"].items():
        if _sha256(folder / name) != sha256:
            raise _damaged(folder / name)
    return Run(experiment, folder, metrics)


def is_complete(folder: Path) -> bool:
    """Say whether a folder holds a complete run that is not damaged."""
    try:
        return load_run(folder) is not None
    except InputError:
        return False


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


def _digest(result: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in result.items() if name != "digest"})


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is missing or damaged: delete {path.parent} and run the experiment again.")
