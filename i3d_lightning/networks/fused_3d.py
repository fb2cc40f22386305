"""3D-Fused Two-Stream: Inception-v1 on snapshots, and a 3-D convolution over its last grids.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.3 and Figure 2d, after Feichtenhofer
et al., https://arxiv.org/abs/1604.06573.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i3d_lightning.recipe import Clips, Training

from .inception import FEATURE_SIZE, start_from_images
from .layers import ConvUnit, MaxPool
from .registry import Architecture, register
from .two_stream import FIELDS, SnapshotNetwork

WIDTH = 512  # outputs of the 3-D convolution, section 2.3
SNAPSHOTS = 5  # of a training clip, ten frames apart, section 2.3


class Fused3D(SnapshotNetwork):
    """2-D Inception-v1 on snapshots, fused over space, time and streams before its last pool.

    The grids of the snapshots (5x7x7 in training) go through a 3x3x3 convolution to 512 channels and a
    3x3x3 max pool, both of stride 1, and are averaged. More snapshots at test make a longer grid.

    Args:
        classes: Number of classes.
        stream: `rgb`, `flow` or `joint`.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
    """

    feature_size = WIDTH

    def __init__(
        self, classes: int, stream: str = "joint", dropout: float = 0.5, batchnorm_momentum: float = 0.1
    ) -> None:
        super().__init__(stream, dropout, batchnorm_momentum)
        self.fusion = nn.Sequential(
            ConvUnit(3, FEATURE_SIZE * len(self.streams), WIDTH, 3, batchnorm_momentum=batchnorm_momentum),
            MaxPool((3, 3, 3), (1, 1, 1)),
        )
        nn.init.normal_(self.fusion[0].conv.weight, std=0.01)  # type: ignore[union-attr,arg-type]
        self.reset_classifier(classes)

    def forward_features(self, *clips: Tensor) -> Float[Tensor, "b 512 1"]:
        """Features of the whole clip, as one time step; clips as `grids` takes them."""
        return self.forward_grid(*clips).mean((3, 4)).mean(2, keepdim=True)

    def forward_grid(self, *clips: Tensor) -> Float[Tensor, "b 512 s h w"]:
        """The fused grid, before it is averaged."""
        grids = torch.cat(list(self.grids(*clips)), dim=1)
        return self.fusion(grids.contiguous(memory_format=torch.channels_last_3d)).float()


def _build(classes: int, stream: str, clips: Clips, training: Training) -> Fused3D:
    return Fused3D(classes, stream, training.dropout, training.batchnorm_momentum)


register(
    Architecture(
        "fused-3d",
        "3D-Fused",
        _build,
        Clips(train_frames=SNAPSHOTS * FIELDS, test_frames=250, snapshot=FIELDS),
        smallest=(FIELDS, 32),
        streams=("rgb", "flow", "joint"),
        row="(d)",
        from_images=start_from_images,
    )
)
