"""Full fine-tuning with layer-wise learning rates: the deeper a layer, the faster it learns."""

from __future__ import annotations

from typing import Any

from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.protocols.base import Job, Outcome, Protocol, register, start_network, train_and_test
from i3d_lightning.recipe import Training

DECAY = 0.5
"""Of the learning rate from one stage to the one before it."""


def groups(network: VideoNetwork, training: Training) -> list[dict[str, Any]]:
    """Part the parameters by the children of the network's body; the classifier has the full rate."""
    stages = [stage for stage in next(network.children()).children() if list(stage.parameters())]
    body = [
        {"params": list(stage.parameters()), "lr_scale": DECAY ** (len(stages) - depth)}
        for depth, stage in enumerate(stages)
    ]
    return [*body, {"params": list(network.classifier.parameters()), "lr_scale": 1.0}]


def layer_wise(job: Job) -> Outcome:
    """Train everything, each stage at a rate of its own."""
    return train_and_test(job, start_network(job), groups)


register(Protocol("layer-wise", layer_wise, order=3, from_video=True, reason="it fine-tunes video weights"))
