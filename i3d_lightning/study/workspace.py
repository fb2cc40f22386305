"""Where things are kept, and what of Lightning's Trainer is the user's to say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import is_text


@dataclass(frozen=True)
class Argument:
    """An argument of Lightning's Trainer that is the user's to say.

    Attributes:
        takes: Tells the values that it takes.
        words: These in words.
    """

    takes: Callable[[Any], bool]
    words: str


def _count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 1024


def _indices(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(i) is int and i >= 0 for i in value)


def _one_of(*words: object) -> Argument:
    known = [{True: "true", False: "false"}.get(w, str(w)) if isinstance(w, bool) else str(w) for w in words]
    return Argument(
        lambda value: any(type(value) is type(word) and value == word for word in words),
        f"{', '.join(known[:-1])} or {known[-1]}",
    )


_SWITCH = _one_of(True, False)

TRAINER: Mapping[str, Argument] = {
    "accelerator": _one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "benchmark": _SWITCH,
    "detect_anomaly": _SWITCH,
    "deterministic": _one_of(True, False, "warn"),
    "devices": Argument(
        lambda value: value in ("auto", -1) or _count(value) or (_indices(value) and _different(value)),
        "a number of them, a list of their numbers, or auto",
    ),
    "enable_progress_bar": _SWITCH,
    "num_nodes": Argument(_count, "a whole number of at least 1 and at most 1024"),
    "profiler": _one_of("simple", "advanced", "pytorch"),
    # Those that part a network among devices would need their weights gathered before they are stored.
    "strategy": _one_of("auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"),
}
"""Arguments of Lightning's Trainer that say where and how it runs, not what comes out."""


def _different(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


_INSTEAD = {
    "precision": "use --precision",
    "logger": "curves go to the run's folder and to wandb (WANDB_MODE)",
    "callbacks": "the protocols own them, the checkpoint among them",
    "max_steps": "use --recipe.training.steps",
    "max_epochs": "use --recipe.training.steps",
    "accumulate_grad_batches": "use --recipe.training.batch_size and --recipe.training.device_batch",
    "val_check_interval": "use --recipe.training.validate_every",
    "check_val_every_n_epoch": "use --recipe.training.validate_every",
    "sync_batchnorm": "it would change results without being part of a run's identity",
}


@dataclass(frozen=True)
class Workspace:
    """Where things are kept.

    Attributes:
        runs: Folder of all runs.
        cache: Folder of manifests, flow and features that all runs share; may be deleted between runs.
        name: A folder below `runs`, to keep runs with other settings apart.
        trainer: Further arguments of Lightning's Trainer, of those in `TRAINER`.

    Raises:
        InputError: The name leads out of the folder, or an argument of the Trainer is not the user's to say.
    """

    runs: Path = Path("runs")
    cache: Path = Path("cache")
    name: str = ""
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if Path(self.name).is_absolute() or ".." in Path(self.name).parts or not is_text(self.name):
            raise InputError(f"name is {self.name!r}, but must be a folder below {self.runs}.")
        for what, folder in (("runs", self.root), ("cache", self.cache)):
            check_folder(what, folder)
        if not isinstance(self.trainer, Mapping):
            raise InputError(f"trainer is {self.trainer!r}, but must be a mapping such as {{devices: 2}}.")
        for argument, value in self.trainer.items():
            if argument not in TRAINER:
                why = _INSTEAD.get(argument, "it may change what comes out")
                raise InputError(
                    f"trainer: '{argument}' is not passed on to Lightning's Trainer: {why}. "
                    f"Passed on are {', '.join(TRAINER)}."
                )
            if value is not None and not TRAINER[argument].takes(value):
                raise InputError(f"trainer: {argument} is {value!r}, but must be {TRAINER[argument].words}.")

    @property
    def root(self) -> Path:
        """Folder of the runs of this name."""
        return self.runs / self.name

    def folder(self, experiment: Experiment) -> Path:
        """Folder of one run."""
        return self.root / experiment.folder


def check_folder(what: str, folder: Path) -> None:
    """Refuse a place where no folder can be made.

    Raises:
        InputError: It, or what would be above it, is a file, or its name is none.
    """
    try:
        if long := next((part for part in folder.parts if len(os.fsencode(part)) > 200), None):
            raise InputError(f"{what} has a name of {len(long)} characters: choose a shorter one.")
        nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if not nearest.is_dir():
            raise InputError(f"{what} is {folder}, but {nearest} is not a folder: choose another place.")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{what} is {str(folder)[:100]!r}, which cannot be a folder: {why}.") from error
