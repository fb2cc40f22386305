from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from i3d_lightning.cli.main import main
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.recipe import Clips, Recipe, Training, compose, digest, merge, without_effect
from i3d_lightning.study.recipes import recipe_for


def test_compose_replaces_what_is_said_and_leaves_what_is_none():
    recipe = compose(Recipe(), {"training": {"patience": 7, "momentum": None}, "clips": {"crop": 48}})
    assert recipe.training.patience == 7
    assert recipe.training.momentum == Training().momentum
    assert recipe.clips.crop == 48


def test_later_changes_go_over_earlier_ones_and_are_checked_together():
    small = {"clips": {"short_side": 32, "crop": 32}}
    assert compose(Recipe(), small, {"clips": {"short_side": 40}}).clips == Clips(short_side=40, crop=32)
    assert merge(small, {"clips": {"crop": None}}) == small
    with pytest.raises(InputError, match="clips is 5, but must be a mapping"):
        merge({"clips": 5}, small)


def test_digest_depends_on_every_setting_and_not_on_order():
    assert digest(Recipe()) == digest(Recipe())
    assert digest(Recipe()) != digest(compose(Recipe(), {"training": {"dropout": 0.4}}))
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(Clips(fps=25)) == digest(Clips(fps=25.0))  # type: ignore[arg-type]


WRONG = [
    ({"training": {"optimizer": "adam"}}, "training.optimizer is 'adam', but must be sgd or adamw."),
    (
        {"training": {"schedule": "constant"}},
        "training.schedule is 'constant', but must be stages, plateau or cosine.",
    ),
    (
        {"training": {"steps": "five"}},
        "training.steps is 'five', but must be a whole number of at least 1 and",
    ),
    ({"training": {"steps": -2}}, "training.steps is -2, but must be a whole number of at least 1 and"),
    ({"training": {"steps": 5.5}}, "training.steps is 5.5, but must be a whole number of at least 1 and"),
    ({"training": {"step": 7}}, "Unknown setting 'training.step': did you mean 'training.steps'?"),
    ({"training": {"workers": -7}}, "training.workers is -7"),
    ({"training": {"validation_fraction": -1}}, "training.validation_fraction is -1"),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate is nan"),
    ({"training": {"compile": 1}}, "training.compile is 1, but must be true or false."),
    ({"training": {"stages": [[1, "x"]]}}, "training.stages is [[1, 'x']], but must be a list"),
    (
        {"training": {"schedule": "stages", "stages": []}},
        "training.schedule is 'stages', but training.stages is empty",
    ),
    (
        {"training": {"schedule": "stages", "steps": 500, "validate_every": 500}},
        "begins at step 4500, but training ends with step 500",
    ),
    (
        {"training": {"schedule": "stages", "steps": 5, "validate_every": 5, "stages": [[5, 0.1]]}},
        "begins at step 5, but training ends with step 5",
    ),
    (
        {"training": {"schedule": "plateau", "steps": 5000, "validate_every": 500}},
        "watches held-out videos, but training.validation_fraction is 0",
    ),
    (
        {"training": {"schedule": "cosine", "steps": 4, "validate_every": 2, "batch_size": 1000}},
        "training.batch_size 1000 cannot see as many clips as the 4 steps of training.reference_batch",
    ),
    (
        {"training": {"stages": [[-5, 0.1]]}},
        "training.stages is [[-5, 0.1]], but must be a list",
    ),
    ({"training": {"stages": [[5, 0.1], [3, 1.0]]}}, "each must begin after the one before"),
    ({"training": {"steps": 7, "validate_every": 2}}, "must be a multiple of training.validate_every"),
    ({"training": {"compile": True, "activation_checkpointing": True}}, "exclude each other"),
    ({"clips": {"fps": 1e9}}, "clips.fps is 1000000000.0, but must be a number of at least 0.01 and at most"),
    ({"clips": {"crop": 300}}, "clips.crop 300 must not exceed clips.short_side"),
    ({"clips": {"test_crop": 300}}, "clips.test_crop 300 must not exceed clips.short_side"),
    ({"clips": {"test_flip": True, "flip": False}}, "clips.test_flip is true, but clips.flip is false"),
    ({"clips": {"snapshot": 3}}, "must be a multiple of clips.snapshot"),
    ({"clips": {"std": [0.2, 0.2, 0]}}, "each a number of at least 0.001"),
    ({"clips": 5}, "clips is 5, but must be a mapping"),
    ({"flow": {"median": 2}}, "flow.median is 2"),
    ({"precision": "bf16"}, "Unknown setting 'precision'"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG)
def test_a_wrong_setting_is_one_sentence_on_every_way_in(changes, sentence, tmp_path, capsys):
    """From Python, a flag, a recipe's file and a grid: the same sentence, and nothing is written."""
    with pytest.raises(InputError) as said:
        compose(Recipe(), changes)
    assert sentence in str(said.value)
    if "nan" in sentence:
        return  # there is no such number in a file
    places = [f"--runs={tmp_path / 'runs'}", f"--cache={tmp_path / 'cache'}"]
    common = {"architecture": "i3d", "stream": "rgb", "protocol": "origin", "dataset": "demo-ucf101"}
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump({"cells": [{"pretraining": "none"}], **common, "recipe": changes}))
    assert sentence in _refused(capsys, "grid", str(grid), *places)
    part, settings = next(iter(changes.items()))
    if isinstance(settings, dict) and "Unknown" not in sentence:  # unknown flags are the parser's to refuse
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump({**common, "recipe": changes}))
        assert sentence in _refused(capsys, "experiment", f"--config={recipe}", *places)
        base = ["experiment", "--protocol=origin", "--dataset=demo-ucf101", "--stream=rgb"]
        flags = [f"--recipe.{part}.{key}={_flag(value)}" for key, value in settings.items()]
        assert sentence in _refused(capsys, *base, *flags, *places)
    assert not (tmp_path / "runs").exists()


def _flag(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


def _refused(capsys, *argv: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_stages_that_a_user_says_are_not_ignored_by_a_cosine():
    """Those of the data set's recipe are: they belong to the schedule that is replaced."""
    ucf = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    assert recipe_for(ucf, {"training": {"schedule": "cosine"}})[0].training.schedule == "cosine"
    for said in (
        {"schedule": "cosine", "stages": [[9, 0.1]]},
        {"schedule": "cosine", "stages": [[3000, 0.2]]},
    ):
        with pytest.raises(
            InputError, match=r"training\.stages have no effect under training\.schedule 'cosine'"
        ):
            recipe_for(ucf, {"training": said})


def test_numbers_may_be_written_as_people_write_them():
    changes = {"training": {"learning_rate": "1e-4", "patience": "5"}, "clips": {"fps": 30}}
    recipe = compose(Recipe(), changes)
    assert recipe.training.learning_rate == 1e-4  # YAML 1.1 takes it for text
    assert recipe.training.patience == 5
    assert type(recipe.clips.fps) is float


def test_what_changes_only_how_a_result_is_computed_is_marked():
    assert without_effect(Training) == {"workers", "activation_checkpointing"}


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.025), ("adamw", 0.05)])
def test_the_learning_rate_is_scaled_with_the_batch(optimizer, rate):
    training = Training(learning_rate=0.1, reference_batch=384, batch_size=96, optimizer=optimizer)
    assert training.course.learning_rate == pytest.approx(rate)


def test_with_another_batch_a_run_sees_as_many_clips_and_changes_its_rate_after_as_many():
    kinetics = {
        "steps": 115_000, "validate_every": 2_500, "learning_rate": 0.1, "reference_batch": 384,
        "stages": ((97_000, 0.1), (108_000, 0.01)),
    }  # fmt: skip
    stated, quarter = Training(**kinetics, batch_size=384), Training(**kinetics, batch_size=96)
    assert (stated.course.steps, stated.course.stages) == (115_000, kinetics["stages"])
    assert quarter.course.steps == 4 * 115_000
    assert quarter.course.validate_every == 4 * 2_500
    assert quarter.course.stages == ((4 * 97_000, 0.1), (4 * 108_000, 0.01))
    assert str(quarter.course) == (
        "460,000 steps of 96 clips; learning rate 0.025, 0.0025 from step 388,000, 0.00025 from step "
        "432,000; a checkpoint every 10,000 steps"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"warmup_steps": 5000},
            "but training ends with step 5000, so that its learning rate would never be",
        ),
        ({"warmup_steps": -1}, "training.warmup_steps is -1"),
        ({"layer_decay": 0}, "training.layer_decay is 0, but must be a number above 0 and at most 1"),
        ({"layer_decay": 1.5}, "training.layer_decay is 1.5"),
        ({"norm_decay": 0.05}, "training.norm_decay is 0.05, but must be true or false."),
        ({"mixup": -0.8}, "training.mixup is -0.8, but must be a number of at least 0"),
        ({"mixup": 0.8, "device_batch": 1}, "training.mixup mixes clips that a device holds at once"),
    ],
)
def test_absurd_settings_of_warm_up_decay_and_mixup_are_refused(settings, sentence):
    with pytest.raises(InputError) as said:
        compose(Recipe(), {"training": settings})
    assert sentence in str(said.value)


def test_a_warm_up_takes_as_many_clips_with_another_batch():
    stated = {
        "steps": 100,
        "validate_every": 50,
        "reference_batch": 8,
        "warmup_steps": 10,
        "stages": [[50, 0.1]],
    }
    quarter = Training(**stated, batch_size=2).course
    assert (Training(**stated, batch_size=8).course.warmup, quarter.warmup) == (10, 40)
    assert "after a warm-up of 40 steps, " in str(quarter)
    assert "warm-up" not in str(Training().course)


def test_rates_by_layer_are_refused_in_planning_where_a_network_does_not_say_its_layers():
    changes = {"training": {"layer_decay": 0.75}}
    with pytest.raises(InputError, match=r"training\.layer_decay is for networks that say which layer"):
        recipe_for(Experiment("i3d", "rgb", "none", "origin", "ucf101"), changes)
    frozen = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")  # has no learning rate at all
    assert recipe_for(frozen, changes)[0].training.layer_decay == 0.75


def test_a_network_with_an_optimiser_of_its_own_keeps_its_rate_on_data_sets_whose_rates_are_for_sgd():
    """In proportion to the clips of a step that these count with: Kinetics' recipe says 384, others 96."""
    for network in ARCHITECTURES:
        for data in ("kinetics", "kinetics600", "ucf101"):
            if network.images:
                continue
            cell = Experiment(network.name, network.streams[0], "none", "origin", data)
            training = recipe_for(cell, {})[0].training
            more = training.reference_batch / 96
            if "optimizer" not in network.training:
                assert (training.optimizer, training.learning_rate) == ("sgd", 0.1 if more == 4 else 0.01)
                continue
            said = Training(**network.training)
            assert training.learning_rate == pytest.approx(more * said.learning_rate) and more in (1, 4)
            assert training.warmup_steps == pytest.approx(said.warmup_steps / more, abs=1)
            assert (training.optimizer, training.schedule) == ("adamw", "cosine")
            assert (training.weight_decay, training.stages) == (said.weight_decay, Training().stages)


def test_of_an_optimiser_of_its_own_a_network_need_not_say_everything(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "_known", dict(ARCHITECTURES._known))
    ARCHITECTURES.replace(replace(ARCHITECTURES["c3d"], training={"optimizer": "adamw"}))
    training = recipe_for(Experiment("c3d", "rgb", "none", "origin", "kinetics"), {})[0].training
    assert (training.optimizer, training.schedule, training.warmup_steps) == ("adamw", "stages", 0)
    assert training.learning_rate == pytest.approx(4 * Training().learning_rate)


def test_rates_decay_by_layer_where_weights_have_learnt_something():
    def decay(pretraining, protocol):
        cell = Experiment("videomae_base", "rgb", pretraining, protocol, "ucf101")
        return recipe_for(cell, {})[0].training.layer_decay

    assert (decay("none", "origin"), decay("kinetics-mae", "full-ft")) == (1, 0.7)
    first = ARCHITECTURES["videomae_large"].training["layer_decay"] ** 25  # of 24 layers, and the embeddings
    assert first == pytest.approx(0.7**13, rel=0.02)  # as of ViT-B's 12


@pytest.mark.parametrize("batch_size", [1, 7, 40, 90, 128, 500, 1000, 2400])
def test_a_scaled_schedule_keeps_to_whole_steps_and_reaches_every_stage(batch_size):
    course = Training(batch_size=batch_size).course
    assert course.steps % course.validate_every == 0
    assert course.steps // course.validate_every == 10
    assert course.steps * batch_size == pytest.approx(5000 * 96, rel=0.01)
    for (start, _), stated in zip(course.stages, (3000, 4500), strict=True):
        assert start / course.steps == pytest.approx(stated / 5000, abs=1 / course.steps)
        assert start < course.steps
