"""A network of another library, with its own preprocessing and published weights under foreign names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.networks.registry import Architecture, register
from i3d_lightning.recipe import Clips, Training
from i3d_lightning.weights import converters, registry


class R2Plus1D(VideoNetwork):
    """torchvision's R(2+1)D-18 (Tran et al. 2018, https://arxiv.org/abs/1711.11248)."""

    feature_size = 512

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__(dropout)
        self.body = r2plus1d_18()
        del self.body.fc
        self.reset_classifier(classes)

    def forward_features(self, *clips: Tensor) -> Tensor:
        (clip,) = clips
        for stage in (self.body.stem, *(getattr(self.body, f"layer{n}") for n in (1, 2, 3, 4))):
            clip = stage(clip)
        return clip.float().mean((2, 3, 4))[:, :, None]


def _build(classes: int, stream: str, clips: Clips, training: Training) -> R2Plus1D:
    return R2Plus1D(classes, training.dropout)


CLIPS = Clips(
    fps=15.0,
    short_side=128,
    crop=112,
    train_frames=16,
    test_frames=80,
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
)

register(Architecture("toy-r2plus1d", "R(2+1)D-18", _build, CLIPS, smallest=(4, 32)))


def _convert(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace("fc.", "classifier.") if name.startswith("fc.") else f"body.{name}": tensor
        for name, tensor in published.items()
    }


converters.register(
    converters.Converter(
        "torchvision-r2plus1d",
        "toy-r2plus1d",
        recognises=lambda state: "layer1.0.conv1.0.3.weight" in state and "stem.0.weight" in state,
        convert=_convert,
    )
)

FILE = Path(os.environ["TOY_WEIGHTS"])

registry.register(
    registry.Entry(
        "r2plus1d-18-toy",
        architecture="toy-r2plus1d",
        stream="rgb",
        pretraining="kinetics",
        top1=0.0,
        top5=0.0,
        source="random weights in torchvision's form",
        location=FILE.as_uri(),
        sha256=hashlib.sha256(FILE.read_bytes()).hexdigest(),
        licence="BSD-3-Clause",
        labels=tuple(R2Plus1D_18_Weights.KINETICS400_V1.meta["categories"]),
        clips=CLIPS,
    )
)
