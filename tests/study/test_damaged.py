"""Damaged videos, from the files to the result, the log, every table and the exit status."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from results.made import write_run
from tiny import TINY, plan_one, recipe_flags, run_one, save_untrained

from i3d_lightning.cli.main import main
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import merge
from i3d_lightning.results.reading import too_many_unreadable
from i3d_lightning.results.runs import Run
from i3d_lightning.study import run as study_run
from i3d_lightning.study import tracking
from i3d_lightning.study.planner import save_cell
from i3d_lightning.study.workspace import Workspace

EMPTY, TORN = "Red/v_Red_g01_c01.avi", "Red/v_Red_g02_c01.avi"
"""Of 8 test videos."""
TORN_IN_TRAINING = "Green/v_Green_g05_c01.avi"
"""Of 24."""


@pytest.fixture(scope="module")
def damaged(tiny_ucf, tmp_path_factory) -> Path:
    """The data set with one test video that is empty, and one of each part that breaks off."""
    root = tmp_path_factory.mktemp("damaged") / "ucf101"
    shutil.copytree(tiny_ucf, root)
    (root / "UCF-101" / EMPTY).write_bytes(b"")
    for name in (TORN, TORN_IN_TRAINING):
        path = root / "UCF-101" / name
        content = path.read_bytes()
        path.write_bytes(content[: int(0.9 * len(content))])
    return root


@pytest.fixture(scope="module")
def place(damaged) -> list[str]:
    """Flags of where things are."""
    return [f"--runs={damaged.parent / 'runs'}", f"--cache={damaged.parent / 'cache'}"]


@pytest.fixture(scope="module")
def run(damaged, place):
    weights = save_untrained(damaged.parent / "kinetics.safetensors")

    def run(protocol: str, *more: str) -> int:
        """Run a protocol by the command line, and give the exit status."""
        given = [f"--weights={weights}"] if protocol == "fixed" else []
        try:
            main(
                [
                    "experiment", f"--protocol={protocol}", "--dataset=ucf101", "--stream=rgb",
                    f"--root={damaged}", *place, *recipe_flags(), *given, *more,
                ]
            )  # fmt: skip
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def result(damaged: Path, protocol: str, seed: int = 0) -> dict:
    pretraining = "none" if protocol == "origin" else "kinetics"
    folder = damaged.parent / "runs" / f"ucf101-1/i3d-rgb/{pretraining}/{protocol}/seed{seed}"
    return json.loads((folder / "result.json").read_text())


def test_damaged_videos_are_in_the_log_the_result_and_the_table(run, damaged, capsys, caplog, monkeypatch):
    """Also where a stored feature is all that is left of the video; too many end in exit status 1."""
    caplog.set_level(logging.INFO)
    sent: dict[str, pd.DataFrame] = {}  # to wandb
    monkeypatch.setattr(tracking, "log_tables", lambda tables, root: sent.update(tables))
    for protocol, flags in (("origin", ()), ("fixed", ()), ("fixed", ("--seed=1",))):
        caplog.clear()
        assert run(protocol, *flags) == 1
        found = result(damaged, protocol, seed=len(flags))
        assert found["train_videos"] == 24
        assert list(found["unreadable"]["test"]) == [EMPTY]
        assert found["unreadable"]["train"] == {}
        for part, name in (("test", TORN), ("train", TORN_IN_TRAINING)):
            ((video, much),) = found["partly_read"][part].items()
            assert video == name
            assert re.fullmatch(r"\d+ of \d+ frames", much)
            assert f"  {name} was partly read: {much}" in caplog.text
        assert f"{EMPTY} could not be read and was counted as wrong" in caplog.text
        said = capsys.readouterr()
        assert "1 train, 1 test" in said.out
        last = said.err.strip().splitlines()[-1]
        assert last.startswith("error: 1 of the 8 test videos of ucf101-1/i3d-rgb/")
        assert "(12.5 %) could not be read, where --max_unreadable allows 5 %" in last
        assert f"the first is {EMPTY}: " in last
    assert "| 0 train, 1 test | 1 train, 1 test |" in (damaged.parent / "runs/table.md").read_text()
    assert set(sent["results"]["partly read"]) == {"1 train, 1 test"}
    assert set(sent["numbers"]["unreadable_test"]) == {1}
    counts = "unreadable 0 train and 1 test, partly read 1 train and 1 test."
    assert sent["notes"]["note"].str.endswith(counts).all()


def test_a_complete_run_is_held_to_the_limit_too_and_not_changed_by_it(run, damaged, capsys):
    run("fixed")
    before = result(damaged, "fixed")
    for limit, status in (("0.05", 1), ("0.2", 0), ("0", 1), ("1", 0)):
        capsys.readouterr()
        assert run("fixed", f"--max_unreadable={limit}") == status
        assert ("where --max_unreadable allows" in capsys.readouterr().err) == bool(status)
    assert result(damaged, "fixed") == before


@pytest.mark.parametrize("verb", ["experiment", "pretrain", "grid", "cell"])
def test_a_limit_that_is_no_share_is_refused_before_anything_is_done(verb, tmp_path, capsys):
    argv = {
        "experiment": ["--protocol=origin", "--stream=rgb", f"--root={tmp_path}", "--dataset=ucf101"],
        "pretrain": ["--stream=rgb"],
        "grid": [str(tmp_path / "grid.yaml")],
        "cell": [str(tmp_path / "cell.json")],
    }[verb]
    with pytest.raises(SystemExit) as stop:
        main([verb, *argv, "--max_unreadable=5"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == (
        "error: max_unreadable is 5.0, but must be a share from 0 to 1, such as 0.05 for 5 %."
    )


def test_grid_and_cell_end_likewise(damaged, place, tmp_path, capsys):
    """A cell on its own only where it is asked to: whoever planned it looks at all of them."""
    recipe = merge(TINY, {"clips": {"train_frames": 10, "test_frames": 10, "snapshot": 10}})
    grid = {
        "cells": [{"architecture": ["two-stream"], "stream": ["rgb"], "protocol": ["origin"]}],
        "pretraining": ["none"],
        "dataset": ["ucf101"],
        "split": [1],
        "recipe": recipe,
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    argv = ["grid", str(tmp_path / "grid.yaml"), f"--root={{ucf101: {damaged}}}", *place]
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 1
    said = capsys.readouterr()
    assert "two-stream" in said.out
    assert "1 of the 8 test videos of ucf101-1/two-stream-rgb/none/origin/seed0 (12.5 %)" in said.err
    main([*argv, "--max_unreadable=0.125"])

    experiment = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
    space = Workspace(damaged.parent / "runs", damaged.parent / "cache")
    (cell,) = plan_one(experiment, space, root=damaged, changes=recipe).cells.values()
    save_cell(cell, space, [], tmp_path / "cell.json")
    main(["cell", str(tmp_path / "cell.json")])
    with pytest.raises(SystemExit) as stop:
        main(["cell", str(tmp_path / "cell.json"), "--max_unreadable=0.05"])
    assert stop.value.code == 1


def test_pretraining_counts_what_it_met_while_it_trained(damaged, tmp_path, monkeypatch, caplog):
    """It does not go through its training videos once more; validation's are training videos too."""
    root = tmp_path / "ucf101"
    shutil.copytree(damaged, root)
    (root / "UCF-101/Blue/v_Blue_g03_c01.avi").write_bytes(b"")
    monkeypatch.setitem(DATASETS._known, "ucf101", replace(DATASETS["ucf101"], teaches="kinetics"))
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    done = run_one(Experiment("i3d", "rgb", "none", "origin", "ucf101"), space, root=root)
    assert "train_top1" not in done.metrics["metrics"]
    assert list(done.metrics["unreadable"]["train"]) == ["Blue/v_Blue_g03_c01.avi"]
    assert list(done.metrics["partly_read"]["train"]) == [TORN_IN_TRAINING]
    assert too_many_unreadable([done], 0.05) is not None
    said = str(too_many_unreadable([done], 1 / 25))
    assert "1 of the 24 training videos" in said


def test_many_are_named_in_part(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    told = {f"v{i:02}": f"{i} of 139 frames" for i in range(31)}
    reading = {"unreadable": {"train": {}, "test": {}}, "partly_read": {"train": {}, "test": told}}
    experiment = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    folder = write_run(tmp_path, experiment, 6, reading=reading)
    result = json.loads((folder / "result.json").read_text())
    result |= {"top1": 50.0, "top5": 100.0, "seconds": 1.0, "peak_memory": None, "metrics": {}}
    study_run._summarise(Run(experiment, folder, result))
    lines = [record.getMessage() for record in caplog.records][1:]
    assert lines == [
        *(f"  v{i:02} was partly read: {i} of 139 frames" for i in range(5)),
        f"  and 26 more test videos were partly read: see {folder / 'result.json'}",
    ]


def test_a_comparison_says_what_each_run_read(tmp_path, capsys):
    whole = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    lost = {
        "unreadable": {"train": {}, "test": {"v7": "empty"}},
        "partly_read": {"train": {"t": "1 of 2 frames"}, "test": {"v1": "28 of 139 frames"}},
    }
    write_run(tmp_path, whole, 6)
    write_run(tmp_path, replace(whole, seed=1), 6, reading=lost)
    names = [whole.name, replace(whole, seed=1).name]
    main(["compare", *names, f"--runs={tmp_path}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"{names[0]}   50.0 %",
        f"{names[1]}   50.0 % (unreadable: 0 train, 1 test; partly read: 1 train, 1 test)",
    ]
    assert lines[3] == (
        "They did not read the same of 2 test videos, such as v1: all of it, and 28 of 139 frames."
    )
    main(["compare", *names, f"--runs={tmp_path}", "--json"])
    assert json.loads(capsys.readouterr().out)["read_differently"] == {
        "v1": ["all of it", "28 of 139 frames"],
        "v7": ["all of it", "nothing"],
    }
    main(["compare", names[0], names[0], f"--runs={tmp_path}"])
    assert "did not read the same" not in capsys.readouterr().out
    main(["table", "findings", f"--runs={tmp_path}"])
    assert "unreadable 0 train and 1 test, partly read 1 train and 1 test." in capsys.readouterr().out
