"""Inflated 3-D Inception-v1 (I3D).

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
https://arxiv.org/abs/1705.07750, section 2.4 and Figure 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from i3d_lightning.recipe import Clips, Training

from .inception import FEATURE_SIZE, Inception, endpoint_names, require_known, start_from_images
from .network import CHANNELS, VideoNetwork
from .registry import Architecture, register

ENDPOINTS = (*endpoint_names(3), "Logits")


class I3D(VideoNetwork):
    """I3D: Inception-v1 in 3-D, an average pool, and a linear classifier at each time step.

    It is fully convolutional: any clip of at least 9 frames and 32 px gives logits per time step, and
    their mean over time, `network(clip).mean(2)`, is the prediction. Clips are RGB (3 channels) or flow
    (2 channels) in [-1, 1].

    Args:
        classes: Number of classes.
        channels: Channels of the clip: 3 for RGB, 2 for flow.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
        final_endpoint: Last stage to build, one of `ENDPOINTS`. Before `Logits` there is no classifier,
            and `forward` gives the activation of that stage.
        early_temporal_stride: Let the first two max pools halve time too (an ablation of the paper's
            pacing); clips must then have at least 33 frames.

    Raises:
        ValueError: There is no such endpoint.
    """

    feature_size = FEATURE_SIZE

    def __init__(
        self,
        classes: int,
        channels: int = 3,
        dropout: float = 0.5,
        batchnorm_momentum: float = 0.1,
        final_endpoint: str = "Logits",
        early_temporal_stride: bool = False,
    ) -> None:
        super().__init__(dropout)
        require_known([final_endpoint], ENDPOINTS)
        self.has_head = final_endpoint == "Logits"
        last = "Mixed_5c" if self.has_head else final_endpoint
        self.inception = Inception(3, channels, batchnorm_momentum, last, early_temporal_stride)
        if self.has_head:
            self.reset_classifier(classes)

    def forward(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k *s"]:
        """Logits `b k s` per time step, or the activation `b k t h w` of an earlier final endpoint.

        Args:
            *clips: One batch of clips in [-1, 1].

        Raises:
            ValueError: The clip has another rank or number of channels, or is too small.
        """
        if not self.has_head:
            (clip,) = clips
            return self.inception(clip)
        return super().forward(*clips)

    def forward_features(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 1024 s"]:
        """Features per time step, after the final average pool."""
        return average_pool(self.forward_grid(*clips))

    def forward_grid(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 1024 s i j"]:
        """The last grid, before that pool."""
        (clip,) = clips
        return self.inception(clip)

    def grid_shares(self, t: int, h: int, w: int) -> Float[Tensor, "t h w"]:
        """The share of each place: fewer windows of the pool see those at the edges than those between."""
        with torch.inference_mode(False), torch.enable_grad():
            grid = torch.zeros(1, 1, t, h, w, requires_grad=True)
            (shares,) = torch.autograd.grad(average_pool(grid).mean(), grid)  # exact, since it is linear
        return shares[0, 0]

    def endpoints(self, clip: Float[Tensor, "b c t h w"], names: Iterable[str]) -> dict[str, Tensor]:
        """Activations of the stages named, `b c t h w`, or `b k s` for `Logits`.

        Raises:
            ValueError: A name is not that of a stage built, or the clip is one that `forward` refuses.
        """
        wanted = set(names)
        if not (self.has_head and "Logits" in wanted):
            return self.inception.endpoints(clip, wanted)
        require_known(wanted, ENDPOINTS)
        found = self.inception.endpoints(clip, wanted - {"Logits"} | {"Mixed_5c"})
        found["Logits"] = self.forward_head(average_pool(found["Mixed_5c"]))
        return {name: found[name] for name in found if name in wanted}


def average_pool(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c s"]:
    """Mean over two neighbouring time steps and 7x7 positions (or all, on a smaller grid), stride 1.

    Positions that remain, which larger frames than 224 px leave, are averaged. Computed in float32 at
    least, since the CPU has no bf16 kernel.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    window = (2, min(7, x.shape[3]), min(7, x.shape[4]))
    return F.avg_pool3d(x, window, stride=1).mean(dim=(3, 4))


def _build(
    classes: int, stream: str, clips: Clips, training: Training, early_temporal_stride: bool = False
) -> I3D:
    return I3D(
        classes,
        CHANNELS[stream],
        training.dropout,
        training.batchnorm_momentum,
        early_temporal_stride=early_temporal_stride,
    )


register(
    Architecture(
        "i3d",
        "Two-Stream I3D",
        _build,
        Clips(),
        smallest=(9, 32),
        streams=("rgb", "flow"),
        row="(e)",
        from_images=start_from_images,
    )
)
register(
    Architecture(
        "i3d-early-stride",
        "I3D, time halved early",
        partial(_build, early_temporal_stride=True),
        Clips(),
        smallest=(33, 32),
        streams=("rgb", "flow"),
        from_images=start_from_images,
    )
)
