from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import yaml
from tiny import TINY, save_untrained

from i3d_lightning.cli.main import main
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.datasets.split import DEVELOPMENT, HELD_OUT
from i3d_lightning.demo import DEVELOPMENT_SEED, DemoSettings, render_demo
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.results.runs import collect
from i3d_lightning.study.grid import read_grid
from i3d_lightning.study.planner import Plan
from i3d_lightning.study.sweep import AS_IT_IS, candidates, place, read_sweep, ready
from i3d_lightning.study.workspace import Workspace

ORIGIN = {"architecture": "i3d", "stream": "rgb", "protocol": "origin", "pretraining": "none"}
FIXED = {**ORIGIN, "protocol": "fixed", "pretraining": "kinetics"}
RATES = {"training.learning_rate": [0.03, 0.01]}
SHORT = {"steps": 2, "stages": [[1, 0.1]]}


def write(folder, cells=(ORIGIN,), sweep=RATES, hold_out=0.25, **more):
    path = folder / "rates.yaml"
    content = {
        "dataset": "ucf101",
        "cells": list(cells),
        "recipe": TINY,
        "sweep": sweep,
        "hold_out": hold_out,
    }
    path.write_text(yaml.safe_dump({**content, **more}))
    return path


@pytest.fixture
def space(tmp_path):
    return Workspace(tmp_path / "runs", tmp_path / "cache", "rates")


def test_several_settings_are_their_product(tmp_path):
    sweep = read_sweep(write(tmp_path, sweep={**RATES, "training.optimizer": ["sgd", "adamw"]}))
    assert list(sweep.settings) == [
        f"training.learning_rate={rate},training.optimizer={optimizer}"
        for rate in (0.03, 0.01)
        for optimizer in ("sgd", "adamw")
    ]
    assert sweep.hold_out == 0.25


def test_every_setting_goes_over_the_file_s_and_into_a_folder_of_its_own(tiny_ucf, tmp_path, space):
    recipes = {"origin": {"training": {"learning_rate": 7}}}
    found = candidates(read_sweep(write(tmp_path, recipes=recipes)), space, {"ucf101": tiny_ucf})
    assert not found.pretraining.cells
    experiment = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    for setting, rate in (("training.learning_rate=0.03", 0.03), ("training.learning_rate=0.01", 0.01)):
        (cell,) = found.cells[setting]
        assert (cell.experiment, cell.recipe.training.learning_rate, cell.hold_out) == (
            experiment,
            rate,
            0.25,
        )
        assert place(space, setting).folder(experiment) == (
            tmp_path / "runs" / "rates" / setting / "ucf101-1/i3d-rgb/none/origin/seed0"
        )


def test_what_a_setting_does_not_change_is_run_once(tiny_ucf, tmp_path, space):
    weights, roots = str(save_untrained(tmp_path / "w.safetensors")), {"ucf101": tiny_ucf}
    found = candidates(read_sweep(write(tmp_path, [ORIGIN, FIXED])), space, roots, {"rgb": weights})
    protocols = {name: [cell.experiment.protocol for cell in cells] for name, cells in found.cells.items()}
    assert protocols == {
        AS_IT_IS: ["fixed"],
        "training.learning_rate=0.03": ["origin"],
        "training.learning_rate=0.01": ["origin"],
    }
    partly = write(tmp_path, [FIXED], {**RATES, "training.precision": ["float32", "bf16"]})
    with pytest.raises(InputError, match=r"Of 4 settings of the sweep only 2 .* try each once"):
        candidates(read_sweep(partly), space, roots, {"rgb": weights})


def test_pretraining_is_run_once_for_all_settings(tmp_path, space):
    full_ft = {**FIXED, "protocol": "full-ft", "dataset": "demo-ucf101"}
    sweep = read_sweep(write(tmp_path, [full_ft], recipe={}))
    found = candidates(sweep, space, {"demo-kinetics": tmp_path})
    assert [e.dataset for e in found.pretraining.cells] == ["demo-kinetics"]
    (cell,) = found.cells["training.learning_rate=0.03"]
    (before,) = found.pretraining.cells.values()
    assert cell.parent == before.experiment and before.hold_out == 0
    assert before.recipe.training.learning_rate not in (0.03, 0.01)
    assert isinstance(ready((cell,), space), Plan)


def test_the_largest_and_smallest_tried_are_edges(tmp_path):
    sweep = read_sweep(write(tmp_path, sweep={"training.learning_rate": [0.1, "1e-2", 0.001]}))
    assert sweep.edges("training.learning_rate=0.1") == ["training.learning_rate 0.1 is the largest tried"]
    assert sweep.edges("training.learning_rate=1e-2") == sweep.edges(AS_IT_IS) == []
    assert sweep.edges("training.learning_rate=0.001") == [
        "training.learning_rate 0.001 is the smallest tried"
    ]
    words = read_sweep(write(tmp_path, sweep={"training.optimizer": ["sgd", "adamw"]}))
    assert words.edges("training.optimizer=sgd") == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sweep": {}}, "sweep is {}, but must name settings"),
        ({"sweep": [1]}, r"sweep is \[1\], but must name settings"),
        ({"sweep": {"training.learning_rate": []}}, "must give a list of what to try"),
        (
            {"sweep": {"training.learning_rate": 0.1}},
            "gives training.learning_rate 0.1, but must give a list",
        ),
        ({"sweep": {"training.learning_rate": [0.1, 0.1]}}, "0.1 twice"),
        ({"sweep": {"training.learning_rate": [0.0001, "1e-4"]}}, "'1e-4' twice"),
        ({"sweep": {"learning_rate": [0.1]}}, "a setting is such as training.learning_rate"),
        ({"sweep": {"training.learning_rat": [0.1]}}, r"did you mean 'training.learning_rate'.{,100}$"),
        ({"sweep": {"trainin.learning_rate": [0.1]}}, "did you mean 'training'"),
        ({"sweep": {"training.steps": list(range(1001))}}, "1001 combinations"),
        ({"hold_out": -0.1}, "hold_out is -0.1, but must be a number from 0 to 0.9"),
        ({"hold_out": 0.95}, "hold_out is 0.95"),
        ({"hold_out": None}, "hold_out is None"),
        ({"hold_out": "much"}, "hold_out is 'much'"),
        ({"holdout": 0.2}, "Unknown word .* 'holdout'"),
        ({"cells": []}, "it needs a list 'cells'"),
    ],
)
def test_a_sweep_that_is_none(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        read_sweep(write(tmp_path, **changed))


def test_a_value_out_of_range_is_refused_before_anything_runs(tiny_ucf, tmp_path, space):
    sweep = read_sweep(write(tmp_path, sweep={"training.learning_rate": [0.01, -1]}))
    with pytest.raises(InputError, match=r"learning_rate is -1"):
        candidates(sweep, space, {"ucf101": tiny_ucf})
    assert not space.runs.exists()


def test_a_grid_is_no_sweep_and_a_sweep_no_grid(tmp_path):
    sweep = write(tmp_path)
    with pytest.raises(InputError, match=r"is a sweep, to choose settings: run it by i3d sweep"):
        read_grid(sweep)
    content = {k: v for k, v in yaml.safe_load(sweep.read_text()).items() if k not in ("sweep", "hold_out")}
    sweep.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"is no sweep: it needs 'sweep'.*i3d grid runs a grid"):
        read_sweep(sweep)


def test_a_sweep_chooses_without_the_test_videos(tiny_ucf, tmp_path, capsys, monkeypatch):
    root = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, root)
    for video in read_dataset("ucf101", root, 1).test:
        video.path.write_bytes(b"not a video")
    weights = save_untrained(tmp_path / "w.safetensors")
    command = [
        "sweep", str(write(tmp_path, [ORIGIN, FIXED], recipes={"origin": {"training": SHORT}})),
        f"--root={{ucf101: {root}}}", f"--weights={{rgb: {weights}}}",
        f"--runs={tmp_path / 'runs'}", f"--cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    main(command)
    printed = capsys.readouterr().out
    assert "held out of training: it chooses settings, and is no test result" in " ".join(printed.split())
    home = tmp_path / "runs" / "rates"
    stored = json.loads((home / "sweep.json").read_text())
    rates = [f"training.learning_rate={rate}" for rate in (0.03, 0.01)]
    assert [row["setting"] for row in stored["tried"]] == [AS_IT_IS, *rates]
    for setting in (AS_IT_IS, *rates):
        (run,) = collect(home / setting)
        assert run.metrics["tested_on"] == HELD_OUT and run.metrics["unreadable"]["test"] == {}
        (row,) = (row for row in stored["tried"] if row["setting"] == setting)
        assert row["top1"] == pytest.approx(run.metrics["top1"]) and row["low"] <= row["top1"] <= row["high"]
    fixed, origin = stored["best"]
    assert fixed["setting"] == AS_IT_IS and fixed["edges"] == []
    tried = {row["setting"]: (-row["top1"], row["loss"]) for row in stored["tried"]}
    assert origin["setting"] == min(rates, key=tried.__getitem__)
    assert origin["changes"] == {"training.learning_rate": float(origin["setting"].partition("=")[2])}
    assert origin["edges"] and "extend the sweep" in printed
    assert not collect(tmp_path / "runs")

    monkeypatch.setattr("i3d_lightning.study.run._run", None)  # nothing is run again
    main(command)
    assert json.loads((home / "sweep.json").read_text()) == stored


def test_test_videos_are_chosen_on_only_where_a_data_set_is_there_for_it(tiny_ucf, tmp_path, space):
    file = write(tmp_path, hold_out=0)
    with pytest.raises(InputError, match="hold_out is 0, but the test videos of ucf101 below"):
        candidates(read_sweep(file), space, {"ucf101": tiny_ucf})
    few = DemoSettings(
        pretraining_clips=1, validation_clips=1, images=1, validation_images=1,
        groups=4, training_groups=2, clips_per_group=1,
    )  # fmt: skip
    file = write(tmp_path, hold_out=0, dataset="demo-ucf101", recipe={})
    for seed, part in ((DEVELOPMENT_SEED, DEVELOPMENT), (few.seed, "test")):
        root = tmp_path / str(seed)
        render_demo(root, replace(few, seed=seed))
        assert read_dataset("demo-ucf101", root, 1).tested_on == part
        if part == DEVELOPMENT:
            assert len(candidates(read_sweep(file), space, {"demo-ucf101": root}).cells) == 2
        else:
            with pytest.raises(InputError, match="the test videos of demo-ucf101 below"):
                candidates(read_sweep(file), space, {"demo-ucf101": root})
