from __future__ import annotations

import pytest

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment, after, stages


def test_a_run_is_named_by_what_it_is():
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101", split=2, seed=3)
    assert experiment.name == "ucf101-2/i3d-rgb/kinetics/fixed/seed3"


@pytest.mark.parametrize(("word", "value"), [("split", 0), ("split", "1"), ("seed", -1), ("seed", True)])
def test_numbers_are_numbers(word, value):
    with pytest.raises(InputError, match=f"{word} is .* whole number"):
        Experiment("i3d", "rgb", "none", "origin", "ucf101", **{word: value})


def test_pretraining_is_what_was_seen_stage_by_stage():
    assert stages("none") == ()
    assert stages(after(after("none", "imagenet"), "kinetics")) == ("imagenet", "kinetics")
