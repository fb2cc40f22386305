"""Where things are kept, and what of Lightning's Trainer is the user's to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment

TRAINER = (
    "accelerator",
    "benchmark",
    "detect_anomaly",
    "deterministic",
    "devices",
    "enable_progress_bar",
    "num_nodes",
    "profiler",
    "strategy",
)
"""Arguments of Lightning's Trainer that say where and how it runs, not what comes out."""

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
        cache: Folder of manifests, flow and features, shared by all runs; may be deleted at any time.
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
        if Path(self.name).is_absolute() or ".." in Path(self.name).parts:
            raise InputError(f"name is '{self.name}', but must be a folder below {self.runs}.")
        for argument in self.trainer:
            if argument not in TRAINER:
                why = _INSTEAD.get(argument, "it may change what comes out")
                raise InputError(
                    f"trainer: '{argument}' is not passed on to Lightning's Trainer: {why}. "
                    f"Passed on are {', '.join(TRAINER)}."
                )

    @property
    def root(self) -> Path:
        """Folder of the runs of this name."""
        return self.runs / self.name

    def folder(self, experiment: Experiment) -> Path:
        """Folder of one run."""
        return self.root / experiment.folder
