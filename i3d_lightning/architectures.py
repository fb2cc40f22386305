"""The paper's architectures as data (Table 1): name -> network, streams and clips.

A network offers what timm's do: `forward_features(clip)` gives `b f s` (s time steps),
`forward_head(features)` gives logits `b k s`, `forward` is both, `reset_classifier(classes)`
replaces the last layer and `feature_size` is f. A further architecture is one file under
`networks/` and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from torch import nn

from i3d_lightning import plan
from i3d_lightning.networks.i3d import I3D


@dataclass(frozen=True)
class Spec:
    """One row of Table 1.

    Attributes:
        title: The paper's name for it.
        row: The paper's letter for it.
        clips: Its training and test clips.
        smallest: The shortest and smallest clip that it takes, in frames and pixels.
        network: Builds it from classes, input channels, and how it is trained.
    """

    title: str
    row: str
    clips: plan.Clips
    smallest: tuple[int, int]
    network: Callable[[int, int, plan.Training], nn.Module]


def _i3d(classes: int, channels: int, training: plan.Training) -> nn.Module:
    return I3D(
        classes,
        channels=channels,
        dropout=training.dropout,
        batchnorm_momentum=training.batchnorm_momentum,
    )


ARCHITECTURES: dict[str, Spec] = {
    "i3d": Spec("Two-Stream I3D", "(e)", plan.Clips(train_frames=64, test_frames=250), (9, 32), _i3d),
}

CHANNELS = {"rgb": 3, "flow": 2}
"""Input channels of a stream: red, green, blue; or horizontal and vertical displacement."""


def spec(architecture: str) -> Spec:
    """The row of Table 1 with this name.

    Raises:
        InputError: There is no such architecture, or its network is not implemented.
    """
    if architecture not in get_args(plan.Architecture):
        raise plan.unknown("architecture", architecture, get_args(plan.Architecture))
    if architecture not in ARCHITECTURES:
        raise plan.InputError(
            f"Architecture '{architecture}' is not implemented yet; available: {', '.join(ARCHITECTURES)}."
        )
    return ARCHITECTURES[architecture]


def build(experiment: plan.Experiment, classes: int, training: plan.Training) -> nn.Module:
    """The network of an experiment, freshly initialised."""
    return spec(experiment.architecture).network(classes, CHANNELS[experiment.stream], training)
