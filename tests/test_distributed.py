from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from tiny import recipe_flags

from i3d_lightning import plan
from i3d_lightning.plan import Experiment
from i3d_lightning.results import Predictions


def test_two_processes_give_the_predictions_of_one(tiny_ucf, tmp_path):
    """A frozen network evaluated by two processes: the same videos, once each, and the same logits.

    The weights are one checkpoint's; training itself differs, since plain batch normalisation keeps
    statistics per process.
    """
    import torch

    from i3d_lightning import architectures
    from i3d_lightning.plan import Clips, Training
    from i3d_lightning.weights import save_weights

    torch.manual_seed(0)
    weights = tmp_path / "kinetics.safetensors"
    save_weights(
        weights, architectures.spec("i3d").network(5, "rgb", Training(), Clips()),
        architecture="i3d", stream="rgb", pretraining="kinetics", labels=tuple("abcde"), clips=Clips(),
    )  # fmt: skip
    found = []
    for devices, strategy in ((1, "auto"), (2, "ddp")):
        runs = tmp_path / f"runs{devices}"
        subprocess.run(
            [
                sys.executable, "-m", "i3d_lightning", "experiment", "--protocol=fixed", "--dataset=ucf101",
                "--stream=rgb", f"--root={tiny_ucf}", f"--weights={weights}", f"--runs={runs}",
                f"--cache={runs / 'cache'}", *recipe_flags(),
                f"--trainer={{accelerator: cpu, devices: {devices}, strategy: {strategy}}}",
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )  # fmt: skip
        folder = runs / Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101").folder
        found.append(Predictions.load(folder / "predictions.npz"))
    one, two = found
    assert one.ids == two.ids
    assert len(set(two.ids)) == 8
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


def test_two_processes_test_a_checkpoint_as_one_does(tiny_ucf, tmp_path):
    """Of every architecture: the same videos, once each, and the same logits."""
    script = Path(__file__).with_name("evaluate.py")
    for processes in ("1", "2"):
        subprocess.run(
            [sys.executable, script, tiny_ucf, tmp_path, processes],
            check=True,
            capture_output=True,
            timeout=300,
        )
    for name in plan.PAPER:
        one, two = (Predictions.load(tmp_path / count / f"{name}.npz") for count in "12")
        assert one.ids == two.ids
        assert len(set(two.ids)) == 8
        np.testing.assert_allclose(one.logits, two.logits, atol=1e-5, rtol=0)
        assert np.ptp(one.logits, axis=0).max() > 0.1  # the videos differ, so that a mix-up would show
