"""Two-Stream: Inception-v1 on one RGB frame and on ten flow fields.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.3 and Figure 2c, after Simonyan and
Zisserman, https://arxiv.org/abs/1406.2199.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .inception import FEATURE_SIZE, Inception
from .network import VideoNetwork, frames_as_images, over_time, stacks

FIELDS = 10  # flow fields of a snapshot, section 2.3
CHANNELS = {"rgb": 3, "flow": 2 * FIELDS}
STREAMS = {"rgb": ("rgb",), "flow": ("flow",), "joint": ("rgb", "flow")}


class TwoStream(VideoNetwork):
    """2-D Inception-v1 on snapshots: an RGB frame, ten flow fields as 20 channels, or both.

    A snapshot is a time step; their logits are averaged at test. The joint network averages the
    logits of its two streams, under one loss: it is written as one linear layer on half of either's
    features side by side, which is the same function.

    Args:
        classes: Number of classes.
        stream: `rgb`, `flow` or `joint`.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
    """

    def __init__(
        self, classes: int, stream: str = "joint", dropout: float = 0.5, batchnorm_momentum: float = 0.1
    ) -> None:
        super().__init__(dropout)
        self.streams = STREAMS[stream]
        self.feature_size = FEATURE_SIZE * len(self.streams)
        for name in self.streams:
            self.add_module(name, Inception(2, CHANNELS[name], batchnorm_momentum))
        self.reset_classifier(classes)

    def forward_features(self, *clips: Tensor) -> Float[Tensor, "b f s"]:
        """Features of each snapshot.

        Args:
            *clips: RGB `b 3 s h w`, flow `b 2 10s h w`, or both in that order.
        """
        found = []
        for name, clip in zip(self.streams, clips, strict=True):
            snapshots = stacks(clip, FIELDS) if name == "flow" else clip
            seen = self.get_submodule(name)(frames_as_images(snapshots))
            found.append(over_time(seen.float().mean((2, 3)), len(clip)))
        return torch.cat(found, dim=1) / len(found)
