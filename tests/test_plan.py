from __future__ import annotations

import dataclasses

import pytest

from i3d_lightning import plan
from i3d_lightning.plan import Experiment, InputError, Recipe, Training, compose, digest


def test_a_run_is_named_by_what_it_is():
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101", split=2, seed=3)
    assert experiment.name == "ucf101-2/i3d-rgb/kinetics/fixed/seed3"


@pytest.mark.parametrize(
    ("architecture", "pretraining", "protocol", "dataset"),
    [
        ("i3d", "kinetics", "origin", "ucf101"),
        ("i3d", "none", "fixed", "ucf101"),
        ("i3d", "none", "full-ft", "hmdb51"),
        ("i3d", "imagenet", "full-ft", "hmdb51"),
        ("i3d", "kinetics", "fixed", "kinetics"),
        ("c3d", "imagenet", "origin", "ucf101"),
        ("c3d", "imagenet+kinetics", "full-ft", "ucf101"),
    ],
)
def test_cells_that_do_not_exist_are_refused_with_the_valid_ones(
    architecture, pretraining, protocol, dataset
):
    with pytest.raises(InputError, match="valid pretraining"):
        Experiment(architecture, "rgb", pretraining, protocol, dataset)


def test_every_cell_of_table_4_exists():
    from i3d_lightning.published import PUBLISHED

    for p in PUBLISHED:
        if p.stream != plan.FUSION:
            Experiment(p.architecture, p.stream, p.pretraining, p.protocol, p.dataset)


def test_the_only_cell_outside_the_paper_is_the_marked_control():
    control = Experiment("i3d", "rgb", "imagenet", "fixed", "ucf101")
    assert plan.is_control(control)
    assert not plan.is_control(dataclasses.replace(control, pretraining="kinetics"))


@pytest.mark.parametrize(
    ("field", "typo", "hint"),
    [
        ("protocol", "fulft", "full-ft"),
        ("dataset", "ucf-101", "ucf101"),
        ("architecture", "i3", "i3d"),
        ("stream", "rbg", "rgb"),
        ("pretraining", "kinetic", "kinetics"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(field, typo, hint):
    right = {
        "architecture": "i3d",
        "stream": "rgb",
        "pretraining": "kinetics",
        "protocol": "fixed",
        "dataset": "ucf101",
    }
    with pytest.raises(InputError, match=f"did you mean '{hint}'"):
        Experiment(**(right | {field: typo}))


def test_an_architecture_has_only_its_streams():
    with pytest.raises(InputError, match="it has rgb, flow"):
        Experiment("i3d", "joint", "kinetics", "fixed", "ucf101")


def test_compose_replaces_what_is_said_and_leaves_what_is_none():
    recipe = compose(Recipe(), {"training": {"steps": 7, "momentum": None}, "clips": {"crop": 48}})
    assert recipe.training.steps == 7
    assert recipe.training.momentum == Training().momentum
    assert recipe.clips.crop == 48
    with pytest.raises(InputError, match="did you mean 'steps'"):
        compose(Recipe(), {"training": {"step": 7}})


def test_digest_depends_on_every_setting_and_not_on_order():
    assert digest(Recipe()) == digest(Recipe())
    assert digest(Recipe()) != digest(compose(Recipe(), {"training": {"dropout": 0.4}}))
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
