from __future__ import annotations

import pytest

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment, after, seeds_from, stages


def test_a_run_is_named_by_what_it_is():
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101", split=2, seed=3)
    assert experiment.name == "ucf101-2/i3d-rgb/kinetics/fixed/seed3"
    assert experiment.at(4, 1).name == "ucf101-2/i3d-rgb/kinetics-seed1/fixed/seed4"


def test_what_starts_from_scratch_has_no_pretraining_to_repeat():
    scratch = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    assert scratch.at(4, 1) == Experiment("i3d", "rgb", "none", "origin", "ucf101", seed=4)
    with pytest.raises(InputError, match="nothing comes before pretraining 'none'"):
        Experiment("i3d", "rgb", "none", "origin", "ucf101", pretraining_seed=1)


def test_seeds_start_from_pretrainings_in_turn():
    assert seeds_from(2, 3) == [(2, 0), (3, 0), (4, 0)]
    assert seeds_from(0, 4, 2) == [(0, 0), (1, 1), (2, 0), (3, 1)]
    assert seeds_from(5, 1, 3) == [(5, 2), (6, 0), (7, 1)]
    with pytest.raises(InputError, match="pretraining_seeds is 0"):
        seeds_from(0, 1, 0)


@pytest.mark.parametrize(("word", "value"), [("split", 0), ("split", "1"), ("seed", -1), ("seed", True)])
def test_numbers_are_numbers(word, value):
    with pytest.raises(InputError, match=f"{word} is .* whole number"):
        Experiment("i3d", "rgb", "none", "origin", "ucf101", **{word: value})


def test_pretraining_is_what_was_seen_stage_by_stage():
    assert stages("none") == ()
    assert stages(after(after("none", "imagenet"), "kinetics")) == ("imagenet", "kinetics")
