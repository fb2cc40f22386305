from __future__ import annotations

import pandas as pd
import pytest

from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Recipe
from i3d_lightning.study import tracking

EXPERIMENT = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")


def test_curves_and_tables_are_written_offline_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    csv, curves = tracking.loggers(EXPERIMENT, Recipe(), tmp_path / "run", tmp_path)
    for logger in (csv, curves):
        logger.log_metrics({"fit/loss": 1.0}, step=1)
        logger.finalize("success")
    tracking.finish()
    tracking.log_tables({"results": pd.DataFrame({"RGB": ["97.0"]})}, tmp_path)
    assert len(list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))) == 2
    assert "fit/loss" in next((tmp_path / "run" / "curves").rglob("metrics.csv")).read_text()


def test_disabled_means_no_wandb_at_all(tmp_path):
    assert len(tracking.loggers(EXPERIMENT, Recipe(), tmp_path / "run", tmp_path)) == 1
    tracking.log_tables({"results": pd.DataFrame({"RGB": ["97.0"]})}, tmp_path)
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("broken", ["init", "log"])
def test_a_failing_wandb_costs_nothing_but_a_warning(broken, tmp_path, monkeypatch, caplog):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")

    def fail(*args, **kwargs):
        raise wandb.errors.CommError("the service is down")

    if broken == "init":
        monkeypatch.setattr(wandb, "init", fail)
        assert len(tracking.loggers(EXPERIMENT, Recipe(), tmp_path / "run", tmp_path)) == 1
        tracking.log_tables({"results": pd.DataFrame({"RGB": ["97.0"]})}, tmp_path)
    else:
        *_, curves = tracking.loggers(EXPERIMENT, Recipe(), tmp_path / "run", tmp_path)
        monkeypatch.setattr(curves.experiment, "log", fail)
        curves.log_metrics({"fit/loss": 1.0}, step=1)
        curves.log_metrics({"fit/loss": 0.9}, step=2)
        tracking.finish()
    assert caplog.text.count("the service is down") == (2 if broken == "init" else 1)
