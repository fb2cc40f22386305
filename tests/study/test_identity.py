from __future__ import annotations

import pytest

from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Recipe, compose
from i3d_lightning.study.identity import features_identity, run_identity

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
