from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tiny import TINY, plan_one, save_untrained

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment, after
from i3d_lightning.study.planner import load_cell, plan, save_cell
from i3d_lightning.study.workspace import Workspace

SPACE = Workspace(Path("nowhere/runs"), Path("nowhere/cache"))


def test_the_control_sees_whole_videos_and_starts_from_the_image_network(tmp_path):
    control = Experiment("convnet", "rgb", "imagenet", "fixed", "ucf101")
    (cell,) = plan([control], SPACE, roots={"ucf101": tmp_path}, dry=True).cells.values()
    assert (cell.weights, cell.new_layers) == ("inception-v1-imagenet", False)
    clips = cell.recipe.clips
    assert (clips.train_frames, clips.test_frames, clips.fps, clips.snapshot) == (1, 250, 25.0, 1)
    image = Experiment("convnet", "rgb", "none", "origin", "imagenet")
    (cell,) = plan([image], SPACE, dry=True).cells.values()
    assert (cell.recipe.clips.train_frames, cell.recipe.clips.test_frames) == (1, 1)
    on_demo = dataclasses.replace(control, dataset="demo-ucf101")
    first, second = plan([on_demo], SPACE).cells.values()
    assert (first.experiment.name, second.parent) == (
        "demo-imagenet-1/convnet-rgb/none/origin/seed0",
        first.experiment,
    )
    # They are prepared as its weights were, unlike those of what is inflated.
    weights = save_untrained(tmp_path / "images.safetensors", "convnet", pretraining="imagenet")  # 32 px
    given = plan_one(control, SPACE, root=tmp_path, weights=weights, changes={})
    assert given.cells[control].recipe.clips.crop == 32
    origin = Experiment("i3d", "rgb", "imagenet", "origin", "ucf101")
    given = plan_one(origin, SPACE, root=tmp_path, weights=weights, changes={})
    assert given.cells[origin].recipe.clips.crop == 224


def test_a_pretraining_has_one_seed_all_the_way():
    target = Experiment(
        "i3d", "rgb", "imagenet+kinetics", "fixed", "demo-ucf101", 2, seed=5, pretraining_seed=1
    )
    scratch = Experiment("i3d", "rgb", "kinetics", "fixed", "demo-ucf101", 2, seed=5, pretraining_seed=1)
    planned = plan([target, scratch], SPACE)
    assert [cell.name for cell in planned.cells] == [
        "demo-imagenet-1/convnet-rgb/none/origin/seed1",
        "demo-kinetics-1/i3d-rgb/none/origin/seed1",
        "demo-kinetics-1/i3d-rgb/imagenet-seed1/origin/seed1",
        "demo-ucf101-2/i3d-rgb/imagenet+kinetics-seed1/fixed/seed5",
        "demo-ucf101-2/i3d-rgb/kinetics-seed1/fixed/seed5",
    ]
    parents = [cell.parent and cell.parent.name for cell in planned.cells.values()]
    assert parents == [
        None,
        None,
        "demo-imagenet-1/convnet-rgb/none/origin/seed1",
        "demo-kinetics-1/i3d-rgb/imagenet-seed1/origin/seed1",
        "demo-kinetics-1/i3d-rgb/none/origin/seed1",
    ]


def test_weights_that_are_given_or_published_are_one_pretraining(tmp_path):
    roots = {"ucf101": tmp_path}
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    target = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101", pretraining_seed=1)
    said = "pretraining of seed 1, which is not complete in .*kinetics-1/i3d-rgb/none/origin/seed1, and"
    with pytest.raises(InputError, match=f"{said} published weights are one"):
        plan([target], space, roots=roots)
    own = space.folder(Experiment("i3d", "rgb", "none", "origin", "kinetics"))  # of seed 0
    own.mkdir(parents=True)
    (own / "result.json").write_text("{}")
    with pytest.raises(InputError, match=said):
        plan([target], space, roots=roots)
    with pytest.raises(InputError, match="--weights i3d-rgb-kinetics400 is one pretraining"):
        plan([target], space, roots=roots, weights={"rgb": "i3d-rgb-kinetics400"})
    planned = plan([target], space, roots={**roots, "kinetics": tmp_path})
    assert [cell.dataset for cell in planned.cells] == ["kinetics", "ucf101"]
    untaught = dataclasses.replace(target, architecture="convnet", pretraining="imagenet", protocol="fixed")
    with pytest.raises(InputError, match="i3d pretrain --dataset imagenet --seed 1"):
        plan([untaught], space, roots=roots)


def test_each_cell_comes_after_what_it_starts_from(tmp_path):
    cell = Experiment("i3d", "flow", "imagenet+kinetics", "full-ft", "demo-hmdb51", 2, 3)
    fixed = Experiment("i3d", "flow", "kinetics", "fixed", "demo-hmdb51")
    planned = plan([cell, fixed], SPACE)
    assert [(c.architecture, c.pretraining, c.dataset) for c in planned.cells] == [
        ("convnet", "none", "demo-imagenet"),
        ("i3d", "none", "demo-kinetics"),
        ("i3d", "imagenet", "demo-kinetics"),
        ("i3d", "kinetics", "demo-hmdb51"),
        ("i3d", "imagenet+kinetics", "demo-hmdb51"),
    ]
    assert planned.wanted == (cell, fixed)
    for c in planned.cells.values():
        assert c.parent is None or c.parent in planned.cells
    real = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    roots = {"ucf101": tmp_path}
    (alone,) = plan([real], SPACE, roots=roots).cells.values()
    assert (alone.parent, alone.weights) == (None, "i3d-rgb-kinetics400")
    both = plan([real], SPACE, roots={**roots, "kinetics": tmp_path})
    assert [c.dataset for c in both.cells] == ["kinetics", "ucf101"]
    assert both.cells[real].weights is None


def test_the_preprocessing_of_weights_is_used_and_a_difference_is_said(tmp_path):
    weights = save_untrained(tmp_path / "small.safetensors")  # 32 px
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    (cell,) = plan_one(experiment, SPACE, root=tmp_path, weights=weights, changes={}).cells.values()
    assert (cell.recipe.clips.short_side, cell.recipe.clips.crop) == (32, 32)
    assert cell.differences == ()
    larger = {"clips": {"short_side": 64, "mean": [0.4, 0.4, 0.4]}}
    (cell,) = plan_one(experiment, SPACE, root=tmp_path, weights=weights, changes=larger).cells.values()
    assert cell.recipe.clips.mean == (0.4, 0.4, 0.4)
    assert cell.differences == (
        "clips.short_side is 64, the weights' 32",
        "clips.mean is [0.4, 0.4, 0.4], the weights' [0.5, 0.5, 0.5]",
    )


def test_a_cell_survives_the_way_to_another_process(tmp_path):
    import json

    experiment = Experiment("i3d", "flow", "imagenet+kinetics", "full-ft", "demo-hmdb51", 2, 3, 4)
    space = Workspace(tmp_path / "runs", tmp_path / "cache", "mine", {"devices": 2})
    training = {name: value for name, value in TINY["training"].items() if name != "stages"}
    settings = {**TINY, "training": training}
    for planned in plan([experiment], space, settings=lambda _: settings).cells.values():
        cell = dataclasses.replace(planned, hold_out=0.25)
        save_cell(cell, space, ["plugin"], tmp_path / "cell.json")
        content = json.loads((tmp_path / "cell.json").read_text())
        assert load_cell(content) == (dataclasses.replace(cell, root=cell.root.absolute()), space)
        assert content["import"] == ["plugin"]
    content["cell"]["recipe"]["training"]["steps"] = "five"
    with pytest.raises(InputError, match=r"training\.steps is 'five'"):
        load_cell(content)
    with pytest.raises(InputError, match="not a planned cell"):
        load_cell({"cells": []})


def test_a_misspelt_root_is_refused(tmp_path):
    """It would leave pretraining to published weights."""
    real = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    with pytest.raises(InputError, match="Unknown data set 'kinetic': did you mean 'kinetics'"):
        plan([real], SPACE, roots={"ucf101": tmp_path, "kinetic": tmp_path})


def test_published_weights_do_not_take_the_place_of_unfinished_pretraining(tmp_path):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    own = space.folder(Experiment("i3d", "rgb", "none", "origin", "kinetics"))
    own.mkdir(parents=True)
    target = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    roots = {"ucf101": tmp_path}
    (cell,) = plan([target], space, roots=roots).cells.values()
    assert cell.weights == "i3d-rgb-kinetics400"
    (own / "fingerprint.json").write_text("{}")
    with pytest.raises(InputError, match="pretraining that is not finished, and published weights do not"):
        plan([target], space, roots=roots)
    (own / "result.json").write_text("{")
    with pytest.raises(InputError, match=r"result\.json is missing or damaged"):
        plan([target], space, roots=roots)
    assert len(plan([target], space, roots={**roots, "kinetics": tmp_path}).cells) == 2
    (own / "result.json").unlink()
    assert plan([target], space, dry=True).cells  # a list says nothing of what is there


@pytest.mark.parametrize(
    ("name", "before", "seed", "pretraining_seed"),
    [("", "none", 1, 0), ("lr2", "none", 0, 0), ("", "imagenet", 1, 1), ("", "imagenet", 1, 0)],
)
def test_published_weights_do_not_take_the_place_of_other_pretraining_of_ones_own(
    tmp_path, name, before, seed, pretraining_seed
):
    """Of another seed, or without the name that the experiment is given."""
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    own = space.folder(Experiment("i3d", "rgb", before, "origin", "kinetics", 1, seed, pretraining_seed))
    own.mkdir(parents=True)
    (own / "result.json").write_text("{}")
    target = Experiment("i3d", "rgb", after(before, "kinetics"), "full-ft", "ucf101")
    with pytest.raises(InputError, match=r"pretraining of one's own, but .*say which with --weights"):
        plan([target], dataclasses.replace(space, name=name), roots={"ucf101": tmp_path})
