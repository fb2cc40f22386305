from __future__ import annotations

from importlib.metadata import version

import pytest

from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Recipe, compose, digest
from i3d_lightning.study.identity import features_identity, run_identity, settings_of

FIXED = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")


def identities(clips: dict) -> tuple[dict, dict]:
    recipe = compose(Recipe(), {"clips": clips})
    features = features_identity(FIXED, recipe, "weights", new_layers=False)
    return features, run_identity(FIXED, recipe, features, "data", None)


@pytest.mark.parametrize(
    ("clips", "counts"),
    [
        ({"test_crop": 256}, True),
        ({"test_flip": True}, True),
        ({"test_frames": 64}, True),
        ({"flip": False}, False),
        ({"photometric_jitter": 0.1}, False),
    ],
)
def test_features_are_of_how_videos_are_seen_at_test(clips, counts):
    for usual, changed in zip(identities({}), identities(clips), strict=True):
        assert (usual != changed) == counts


def test_settings_that_came_later_leave_what_was_computed_before_as_it_is():
    """The digest is that of the code before `aspect`, `interpolation` and `views`."""
    before, _ = identities({})
    assert digest(before) == "d30be739d2913949595031545b1141ec725274b32796dd6f2f2d9b60c7fe2660"
    assert not {"aspect", "interpolation", "views"} & set(before["clips"])


def test_the_version_of_the_library_that_computes_a_network_counts(monkeypatch):
    def network(name):
        cell = Experiment(name, "rgb", "kinetics", "fixed", "ucf101")
        return features_identity(cell, Recipe(), "weights", new_layers=False)["network"]

    assert network("i3d") == "i3d rgb, version 1"
    assert network("r3d_18") == f"r3d_18 rgb, version 1, torchvision {version('torchvision')}"


@pytest.mark.parametrize(
    "clips",
    [{"aspect": 1.0}, {"interpolation": "bilinear"}, {"interpolation": "antialias"}, {"views": "5x1"}],
)
def test_of_these_any_other_value_counts(clips):
    for usual, changed in zip(identities({}), identities(clips), strict=True):
        assert usual != changed
        assert changed["clips"].items() >= clips.items()


def test_a_list_of_ones_own_is_in_the_identity_and_settings_of_others_stay():
    features, without = identities({})
    known = run_identity(FIXED, Recipe(), features, "data", None, whole="all of it")
    assert known == {**without, "list": "all of it"}
    assert settings_of(known) == settings_of(without)
