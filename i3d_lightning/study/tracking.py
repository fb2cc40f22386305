"""Training curves and result tables in Weights & Biases, offline unless the user says otherwise.

Of several processes the first alone tracks.

Tracking never costs a result: whatever goes wrong here is reported once and the run goes on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from i3d_lightning import ranks
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Recipe, plain

log = logging.getLogger(__name__)

PROJECT = "i3d-lightning"


def mode() -> str:
    """Read WANDB_MODE, `offline` where it says nothing."""
    return os.environ.get("WANDB_MODE") or "offline"


class Curves(WandbLogger):
    """A WandbLogger that goes silent, saying so, instead of ending a run when wandb fails."""

    failed = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if not self.failed:
            try:
                super().log_metrics(metrics, step)
            except Exception as error:  # whatever a tracking service may raise, training goes on
                self.failed = True
                _report(error)

    def finalize(self, status: str) -> None:
        if not self.failed:
            try:
                super().finalize(status)
            except Exception as error:
                self.failed = True
                _report(error)


def loggers(experiment: Experiment, recipe: Recipe, folder: Path, runs: Path, name: str = "") -> list[Any]:
    """Make loggers of training curves: `curves/version_*/metrics.csv` in the run's folder, and wandb.

    Args:
        experiment: What is run.
        recipe: Its settings.
        folder: Of the run.
        runs: Folder of all runs.
        name: The folder below these that the run is kept apart in, if any, which wandb shows in its name.
    """
    found: list[Any] = [CSVLogger(folder, name="curves")]
    if mode() != "disabled" and ranks.is_first():
        try:
            import wandb

            started = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=(Path(name) / experiment.folder).as_posix(),
                group=experiment.dataset,
                dir=runs,
                mode=mode(),  # type: ignore[arg-type]
                config={**plain(experiment), "recipe": plain(recipe)},
                settings=_settings(),
            )
            found.append(Curves(experiment=started))
        except Exception as error:
            _report(error)
    return found


def finish() -> None:
    """Close the wandb run of an experiment, if one is open, so that the next gets its own."""
    import wandb

    if wandb.run is not None:
        try:
            wandb.finish()
        except Exception as error:
            _report(error)


def log_tables(tables: Mapping[str, pd.DataFrame], runs: Path) -> None:
    """Log result tables as wandb Tables in a run of their own."""
    if mode() == "disabled" or not ranks.is_first():
        return
    try:
        import wandb

        with wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name="tables",
            job_type="tables",
            dir=runs,
            mode=mode(),  # type: ignore[arg-type]
            settings=_settings(),
        ) as run:
            run.log({name: wandb.Table(dataframe=table.astype(object)) for name, table in tables.items()})
    except Exception as error:
        _report(error)


def _settings() -> Any:
    import wandb

    return wandb.Settings(silent=True, console="off")


def _report(error: Exception) -> None:
    log.warning(
        "wandb failed (%s); results are kept on disk all the same.",
        str(error).split("\n")[0] or repr(error),
    )
