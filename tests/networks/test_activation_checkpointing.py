"""Activations computed again: the same gradients and statistics."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import registry as architectures
from i3d_lightning.recipe import Clips, Recipe, Training

CASES = {
    "i3d": Clips(train_frames=9, crop=32),
    "c3d": Clips(train_frames=16, crop=32),
    "two-stream": Clips(train_frames=10, crop=32, snapshot=10),
}


@pytest.mark.parametrize("architecture", CASES)
def test_gradients_and_statistics_are_the_same(architecture):
    clips = CASES[architecture]
    experiment = Experiment(architecture, "rgb", "none", "origin", "ucf101")
    torch.manual_seed(0)
    kept = architectures.build(experiment, 4, Recipe(clips, training=Training(dropout=0.0)))
    again = architectures.build(
        experiment, 4, Recipe(clips, training=Training(dropout=0.0, activation_checkpointing=True))
    )
    again.load_state_dict(deepcopy(kept.state_dict()))
    clip = torch.rand(2, 3, clips.train_frames // clips.snapshot, 32, 32) * 2 - 1
    saved = []
    for network in (kept, again):
        held = 0

        def count(tensor):
            nonlocal held
            held += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = network.train()(clip).square().sum()
        loss.backward()
        saved.append(held)
    for one, other in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)
    for (name, one), other in zip(kept.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(other, one, msg=name)
    assert saved[1] < 0.5 * saved[0]
