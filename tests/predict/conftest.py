"""A network that says which colour a video has, and weights of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Clips
from i3d_lightning.weights import save_weights

CLIPS = Clips(short_side=32, crop=32, train_frames=4, test_frames=8)


class Colours(VideoNetwork):
    """Its logits are the mean red, green and blue of its input."""

    feature_size = 3

    def __init__(self, classes: int) -> None:
        super().__init__(dropout=0.0)
        self.scale = nn.Parameter(torch.ones(()))
        self.reset_classifier(classes)
        nn.init.eye_(self.classifier.weight)

    def forward_features(self, *clips: torch.Tensor) -> torch.Tensor:
        return self.forward_grid(*clips).mean((3, 4))

    def forward_grid(self, *clips: torch.Tensor) -> torch.Tensor:
        return self.scale * clips[0]


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Writes weights of the network above."""
    monkeypatch.setattr(ARCHITECTURES, "_known", dict(ARCHITECTURES._known))
    ARCHITECTURES.register(
        Architecture("colours", "Colours", lambda classes, *_: Colours(classes), CLIPS, smallest=(1, 1))
    )

    def save(**said: object) -> str:
        path = tmp_path / "colours.safetensors"
        usual = {"stream": "rgb", "pretraining": None, "labels": ("Red", "Green", "Blue"), "clips": CLIPS}
        save_weights(path, Colours(3), architecture="colours", **{**usual, **said})
        return str(path)

    return save


@pytest.fixture
def video(tiny_ucf):
    return next(tiny_ucf.rglob("v_Green*.avi"))
