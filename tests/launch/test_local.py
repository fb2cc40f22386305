from __future__ import annotations

import errno
import json
import logging
import os
from dataclasses import replace

import pytest
from tiny import TINY, plan_one

from i3d_lightning.cli.main import main
from i3d_lightning.errors import DiskFullError
from i3d_lightning.experiment import Experiment
from i3d_lightning.launch import LAUNCHERS
from i3d_lightning.launch.base import one_by_one
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import merge
from i3d_lightning.study.planner import Plan, plan
from i3d_lightning.study.workspace import Workspace

SMALL = merge(TINY, {"clips": {"train_frames": 10, "test_frames": 10, "snapshot": 10}})


def breaks(monkeypatch, broken: set[str]) -> None:
    """Makes `origin` fail on the cells named."""
    real = PROTOCOLS["origin"].run

    def run(job):
        if job.experiment.name in broken:
            raise RuntimeError("the power went out")
        return real(job)

    monkeypatch.setitem(PROTOCOLS._known, "origin", replace(PROTOCOLS["origin"], run=run))


def test_a_failing_cell_is_survived_and_run_again(tmp_path, tiny_ucf, monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO)
    cells = [Experiment("two-stream", "rgb", "none", "origin", "ucf101", seed=seed) for seed in range(3)]
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    planned = plan(cells, space, roots={"ucf101": tiny_ucf}, settings=lambda _: SMALL)
    broken = {cells[1].name}
    breaks(monkeypatch, broken)
    overview = LAUNCHERS["local"](planned, space)
    assert sorted(run.experiment.seed for run in overview.done) == [0, 2]
    assert {c.seed: why for c, why in overview.failed.items()} == {1: "the power went out"}
    assert "3 cells: 0 complete, 3 to run." in caplog.text
    assert "1 failed" in caplog.text
    assert "min left" in caplog.text

    broken.clear()
    caplog.clear()
    assert len(LAUNCHERS["local"](planned, space).done) == 3
    assert "3 cells: 2 complete, 1 to run." in caplog.text
    capsys.readouterr()
    main(["table", "--json", f"--runs={space.runs}"])
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EROFS, "Cannot write /runs/metrics.csv"), (errno.ENOSPC, "No disk space is left")],
)
def test_what_other_code_could_not_write_is_one_sentence(
    number, says, tmp_path, tiny_ucf, monkeypatch, caplog
):
    """Curves are written by Lightning: a disk that is full or read-only is no fault of the program."""

    def run_cell(cell, space):
        raise OSError(number, os.strerror(number), "/runs/metrics.csv")

    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    cell = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
    planned = plan([cell], space, roots={"ucf101": tiny_ucf}, settings=lambda _: SMALL)
    if number == errno.ENOSPC:
        with pytest.raises(DiskFullError, match=f"^{says}"):
            one_by_one(planned, space, run_cell)
    else:
        assert one_by_one(planned, space, run_cell).failed[cell].startswith(says)
    assert not any(record.exc_info for record in caplog.records)


def test_what_starts_from_a_failed_cell_fails_with_it(tmp_path, tiny_ucf, monkeypatch):
    """It never falls back on other weights."""
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    target = Experiment("two-stream", "rgb", "kinetics", "full-ft", "ucf101")
    other = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
    alone = plan([other], space, roots={"ucf101": tiny_ucf}, settings=lambda _: SMALL)
    cell = replace(alone.cells[other], experiment=target, parent=other)
    planned = Plan({**alone.cells, target: cell}, (target,))
    breaks(monkeypatch, {other.name})
    overview = LAUNCHERS["local"](planned, space)
    assert overview.done == []
    assert overview.failed == {
        other: "the power went out",
        target: f"its pretraining {other.name} failed",
    }
    assert not space.folder(target).exists()


def test_an_unknown_launcher_is_met_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["experiment", "--protocol=origin", "--stream=rgb", "--on=locl"])
    assert "Unknown launcher 'locl': did you mean 'local'?" in capsys.readouterr().err


def test_one_cell_needs_no_progress(tmp_path, tiny_ucf, caplog):
    caplog.set_level(logging.INFO)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    cell = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
    LAUNCHERS["local"](plan_one(cell, space, root=tiny_ucf, changes=SMALL), space)
    assert "cells:" not in caplog.text
