from __future__ import annotations

import json

import pytest
import yaml
from tiny import TINY

from i3d_lightning import runner
from i3d_lightning.cli import main
from i3d_lightning.grid import Grid, ordered, read_grid, run_grid, with_seeds, with_speed
from i3d_lightning.plan import Experiment, InputError
from i3d_lightning.runner import Workspace


def write(folder, **content):
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_entry_stands_for_every_combination_that_exists(tmp_path):
    grid = read_grid(
        write(
            tmp_path,
            dataset=["ucf101", "hmdb51"],
            cells=[{"architecture": ["i3d", "c3d"], "protocol": ["origin", "full-ft"], "seed": [0, 1]}],
        )
    )
    found = {(c.architecture, c.stream, c.protocol, c.pretraining) for c in grid.cells}
    assert found == {
        *(("i3d", s, "origin", p) for s in ("rgb", "flow") for p in ("none", "imagenet")),
        *(("i3d", s, "full-ft", p) for s in ("rgb", "flow") for p in ("kinetics", "imagenet+kinetics")),
        ("c3d", "rgb", "origin", "none"),
        ("c3d", "rgb", "full-ft", "kinetics"),
    }
    assert len(grid.cells) == len(found) * 2 * 2
    assert len(with_seeds(grid, range(3)).cells) == len(found) * 2 * 3


def test_the_control_must_be_asked_for(tmp_path):
    entry = {"architecture": "i3d", "protocol": "fixed", "dataset": "ucf101", "stream": "rgb"}
    assert {c.pretraining for c in read_grid(write(tmp_path, cells=[entry])).cells} == {
        "kinetics",
        "imagenet+kinetics",
    }
    asked = read_grid(write(tmp_path, cells=[{**entry, "pretraining": "imagenet"}]))
    assert [c.pretraining for c in asked.cells] == ["imagenet"]


def test_each_cell_comes_after_what_it_starts_from():
    cell = Experiment("i3d", "flow", "imagenet+kinetics", "full-ft", "demo-hmdb51", 2, 3)
    fixed = Experiment("i3d", "flow", "kinetics", "fixed", "demo-hmdb51")
    assert [(c.architecture, c.pretraining, c.dataset) for c in ordered([cell, fixed])] == [
        ("convnet", "none", "demo-imagenet"),
        ("i3d", "none", "demo-kinetics"),
        ("i3d", "imagenet", "demo-kinetics"),
        ("i3d", "kinetics", "demo-hmdb51"),
        ("i3d", "imagenet+kinetics", "demo-hmdb51"),
    ]
    real = Experiment("i3d", "flow", "kinetics", "full-ft", "ucf101")
    assert ordered([real]) == [real]
    assert [c.dataset for c in ordered([real], ["kinetics"])] == ["kinetics", "ucf101"]


def test_settings_of_the_grid_its_architectures_and_data_sets_add_up(tmp_path):
    grid = read_grid(
        write(
            tmp_path,
            dataset="ucf101",
            cells=[{"architecture": ["i3d", "c3d"], "protocol": "origin", "pretraining": "none"}],
            recipe={"training": {"steps": 10, "batch_size": 4}},
            recipes={
                "c3d": {"training": {"batch_size": 2}},
                "ucf101": {"clips": {"crop": 32}},
                "c3d/ucf101": {"clips": {"crop": 48}},
            },
        )
    )
    by_name = {c.architecture: grid.changes(c) for c in grid.cells}
    assert by_name["i3d"] == {"training": {"steps": 10, "batch_size": 4}, "clips": {"crop": 32}}
    assert by_name["c3d"] == {"training": {"steps": 10, "batch_size": 2}, "clips": {"crop": 48}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"dataset": "ucf101"}, "needs a list of 'cells'"),
        ({"cells": [{"architecture": "i3d", "protocol": "fixed"}]}, "says no dataset"),
        ({"cells": [], "datset": "ucf101"}, "did you mean 'dataset'"),
        ({"cells": [], "recipes": {"i3d/ufc101": {}}}, "did you mean 'ucf101'"),
        (
            {"cells": [{"architecture": "c3", "protocol": "fixed", "dataset": "ucf101"}]},
            "did you mean 'c3d'",
        ),
        (
            {
                "cells": [
                    {
                        "architecture": "c3d",
                        "protocol": "fixed",
                        "dataset": "ucf101",
                        "pretraining": "imagenet",
                    }
                ]
            },
            "exists; see Table 4",
        ),
    ],
)
def test_a_grid_that_is_wrong_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_grid(write(tmp_path, **content))


def test_a_missing_grid_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no grid .*gone\.yaml"):
        read_grid(tmp_path / "gone.yaml")


def test_a_failing_cell_is_survived_and_run_again(tmp_path, tiny_ucf, monkeypatch, capsys):
    path = write(
        tmp_path,
        dataset="ucf101",
        protocol="origin",
        pretraining="none",
        architecture="two-stream",
        stream="rgb",
        recipe={**TINY, "clips": {**TINY["clips"], "train_frames": 10, "test_frames": 10}},
        cells=[{"seed": [0, 1, 2]}],
    )
    real, broken = runner.PROTOCOLS["origin"], {1}

    def fails_once(job):
        if job.experiment.seed in broken:
            raise RuntimeError("the power went out")
        return real(job)

    monkeypatch.setitem(runner.PROTOCOLS, "origin", fails_once)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    said: list[str] = []
    overview = run_grid(read_grid(path), space, {"ucf101": tiny_ucf}, said.append)
    assert sorted(run.experiment.seed for run in overview.done) == [0, 2]
    assert {c.seed: why for c, why in overview.failed.items()} == {1: "the power went out"}
    assert said[0] == "3 cells: 0 complete, 3 to run."
    assert any("1 failed" in line and "min left" in line for line in said)

    broken.clear()
    overview = run_grid(read_grid(path), space, {"ucf101": tiny_ucf}, said.append)
    assert len(overview.done) == 3
    assert "3 cells: 2 complete, 1 to run." in said
    capsys.readouterr()
    main(["table", "--json", f"--runs={space.runs}"])
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3


def test_another_speed_holds_for_every_cell_but_those_that_say_their_own():
    cells = [Experiment(name, "rgb", "none", "origin", "ucf101") for name in ("i3d", "c3d")]
    wanted = Grid(tuple(cells), {"training": {"steps": 5}}, {"c3d": {"training": {"speed": "bf16"}}})
    faster = with_speed(wanted, "exact")
    assert faster.changes(cells[0])["training"] == {"steps": 5, "speed": "exact"}
    assert faster.changes(cells[1])["training"] == {"steps": 5, "speed": "bf16"}
    with pytest.raises(InputError, match="did you mean 'exact'"):
        with_speed(wanted, "exakt")
