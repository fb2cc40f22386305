"""Random features: the control that any network has, and that says what it is."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from tiny import TINY, plan_one, run_one

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.study.cells import check, is_control
from i3d_lightning.study.workspace import Workspace

RANDOM = Experiment("r3d_18", "rgb", "random", "fixed", "ucf101")
CHANGES = {**TINY, "clips": {**TINY["clips"], "fps": 25.0, "train_frames": 8, "test_frames": 12}}


def test_a_network_of_another_library_runs_from_random_weights_and_says_so(tiny_ucf, tmp_path, caplog):
    """Two windows a video; another seed is another network."""
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    with caplog.at_level(logging.WARNING):
        first = run_one(RANDOM, space, root=tiny_ucf, changes=CHANGES)
    assert "Its weights are random: this is a control" in caplog.text
    assert first.metrics["protocol"]["control"]
    assert first.predictions.logits.shape[1] == 3
    second = run_one(RANDOM.at(1, 0), space, root=tiny_ucf, changes=CHANGES)
    assert not np.allclose(first.predictions.logits, second.predictions.logits, rtol=0.01)
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 2


def test_it_starts_from_no_weights_and_only_frozen_on_a_target(tiny_ucf, tmp_path):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    (cell,) = plan_one(RANDOM, space, root=tiny_ucf, changes=CHANGES).cells.values()
    assert (cell.weights, cell.parent, cell.new_layers) == (None, None, True)
    assert is_control(RANDOM)
    for protocol in ("origin", "full-ft"):
        with pytest.raises(InputError, match="random features are a control, which only frozen ones"):
            check(Experiment("r3d_18", "rgb", "random", protocol, "ucf101"))
    with pytest.raises(InputError, match="is itself the pretraining"):
        check(Experiment("r3d_18", "rgb", "random", "fixed", "kinetics"))
