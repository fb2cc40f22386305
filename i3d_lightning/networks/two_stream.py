"""Two-Stream: Inception-v1 on one RGB frame and on ten flow fields.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.3 and Figure 2c, after Simonyan and
Zisserman, https://arxiv.org/abs/1406.2199.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from i3d_lightning.recipe import Clips, Training

from .inception import FEATURE_SIZE, Inception, start_from_images
from .network import VideoNetwork, each_frame, stacks
from .registry import Architecture, register

FIELDS = 10  # flow fields of a snapshot, section 2.3
CHANNELS = {"rgb": 3, "flow": 2 * FIELDS}
STREAMS = {"rgb": ("rgb",), "flow": ("flow",), "joint": ("rgb", "flow")}


class SnapshotNetwork(VideoNetwork):
    """2-D Inception-v1 on snapshots, one for each stream: an RGB frame, or ten flow fields as 20 channels.

    Args:
        stream: `rgb`, `flow` or `joint`.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
    """

    def __init__(self, stream: str, dropout: float, batchnorm_momentum: float) -> None:
        super().__init__(dropout)
        self.streams = STREAMS[stream]
        for name in self.streams:
            self.add_module(name, Inception(2, CHANNELS[name], batchnorm_momentum))

    def grids(self, *clips: Tensor) -> Iterator[Float[Tensor, "b 1024 s h w"]]:
        """The last grids of every snapshot, stream by stream.

        Args:
            *clips: RGB `b 3 s h w`, flow `b 2 10s h w`, or both in that order.
        """
        for name, clip in zip(self.streams, clips, strict=True):
            snapshots = stacks(clip, FIELDS) if name == "flow" else clip
            yield each_frame(self.get_submodule(name), snapshots)


class TwoStream(SnapshotNetwork):
    """A linear layer on the pooled features of each snapshot, of RGB, flow or both.

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
        super().__init__(stream, dropout, batchnorm_momentum)
        self.feature_size = FEATURE_SIZE * len(self.streams)
        self.reset_classifier(classes)

    def forward_features(self, *clips: Tensor) -> Float[Tensor, "b f s"]:
        """Features of each snapshot; clips as `grids` takes them."""
        found = [grid.float().mean((3, 4)) for grid in self.grids(*clips)]
        return torch.cat(found, dim=1) / len(found)

    def forward_grid(self, *clips: Tensor) -> Float[Tensor, "b f s h w"]:
        """The last grids of each snapshot, those of two streams side by side; clips as `grids` takes them."""
        found = [grid.float() for grid in self.grids(*clips)]
        return torch.cat(found, dim=1) / len(found)


def _build(classes: int, stream: str, clips: Clips, training: Training) -> TwoStream:
    return TwoStream(classes, stream, training.dropout, training.batchnorm_momentum)


register(
    Architecture(
        "two-stream",
        "Two-Stream",
        _build,
        Clips(train_frames=FIELDS, test_frames=250, snapshot=FIELDS),
        smallest=(FIELDS, 32),
        streams=("rgb", "flow", "joint"),
        row="(c)",
        from_images=start_from_images,
    )
)
