"""3D-ConvNet: the paper's variant of C3D.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.2 and Figure 2b, after Tran et al.,
https://arxiv.org/abs/1412.0767: batch normalisation after all convolutions and fully connected layers,
and a first pool that halves time too.
"""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i3d_lightning.recipe import Clips, Training

from .activation_checkpointing import checkpointed
from .layers import BATCHNORM_EPS, ConvUnit, MaxPool
from .network import VideoNetwork
from .registry import Architecture, register

FRAMES = 16  # of one pass, section 2.2
CROP = 112  # px, section 2.2
WIDTH = 4096  # of the fully connected layers

DEVICE_BATCH = 16
"""Clips normalised together: a fully connected layer has one value of each. Section 2.2 says 15 on a GPU,
which divides neither 96 nor 384."""

WIDTHS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions between two pools."""


class C3D(VideoNetwork):
    """Eight 3x3x3 convolutions, five pools, two fully connected layers, a linear classifier.

    It takes 16 frames at once: longer clips are cut into that many, each a time step; where they do
    not divide, the pieces overlap evenly.

    Args:
        classes: Number of classes.
        dropout: Probability to drop a feature after each fully connected layer.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
        crop: Height and width of the clips in pixels; the first fully connected layer fits no other.

    Attributes:
        activation_checkpointing: In training, compute activations again for the gradients instead of
            keeping them.
    """

    feature_size = WIDTH

    def __init__(
        self, classes: int, dropout: float = 0.5, batchnorm_momentum: float = 0.1, crop: int = CROP
    ) -> None:
        super().__init__(dropout)
        self.crop = crop
        self.activation_checkpointing = False
        stages: list[nn.Module] = []
        channels = 3
        for number, widths in enumerate(WIDTHS):
            for width in widths:
                stages.append(ConvUnit(3, channels, width, 3, batchnorm_momentum=batchnorm_momentum))
                channels = width
            last = number == len(WIDTHS) - 1  # one time step is left, and an odd grid: padded to be whole
            stages.append(MaxPool((1 if last else 2, 2, 2), (1 if last else 2, 2, 2)))
        self.convolutions = nn.Sequential(*stages)
        grid = ceil(crop / 2 ** len(WIDTHS))
        self.fc6 = _FullyConnected(channels * grid * grid, batchnorm_momentum)
        self.fc7 = _FullyConnected(WIDTH, batchnorm_momentum)
        self.reset_classifier(classes)

    def forward_features(self, *clips: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b 4096 s"]:
        """The second fully connected layer's output for each 16 frames.

        Raises:
            ValueError: The clip is shorter than 16 frames or of another size than the network's.
        """
        (clip,) = clips
        if clip.shape[2] < FRAMES or tuple(clip.shape[3:]) != (self.crop, self.crop):
            raise ValueError(
                f"expected 'b c t h w' with t >= {FRAMES} and h = w = {self.crop}, "
                f"got shape {tuple(clip.shape)}"
            )
        pieces = ceil(clip.shape[2] / FRAMES)
        starts = [(clip.shape[2] - FRAMES) * piece // max(1, pieces - 1) for piece in range(pieces)]
        batch = torch.stack([clip[:, :, start : start + FRAMES] for start in starts], dim=1).flatten(0, 1)
        seen = batch.contiguous(memory_format=torch.channels_last_3d)
        keep_less = self.activation_checkpointing and self.training
        for stage in self.convolutions:
            seen = checkpointed(stage, seen) if keep_less else stage(seen)
        features = self.fc7(self.dropout(self.fc6(seen.flatten(1))))
        return features.unflatten(0, (len(clip), pieces)).transpose(1, 2)


class _FullyConnected(nn.Module):
    """A linear layer, batch normalisation and ReLU."""

    def __init__(self, inputs: int, batchnorm_momentum: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, WIDTH, bias=False)
        self.bn = nn.BatchNorm1d(WIDTH, eps=BATCHNORM_EPS, momentum=batchnorm_momentum)
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b f"]) -> Float[Tensor, "b 4096"]:
        return F.relu(self.bn(self.linear(x)), inplace=True)


def _build(classes: int, stream: str, clips: Clips, training: Training) -> C3D:
    return C3D(classes, training.dropout, training.batchnorm_momentum, clips.crop)


register(
    Architecture(
        "c3d",
        "3D-ConvNet",
        _build,
        Clips(short_side=128, crop=CROP, train_frames=FRAMES, test_frames=240),
        smallest=(FRAMES, 32),
        device_batch=DEVICE_BATCH,
        one_size=True,
        row="(b)",
    )
)
