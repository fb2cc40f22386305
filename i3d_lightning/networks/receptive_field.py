"""How much of a clip one position of a stage's output sees (Figure 3 of arXiv 1705.07750)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from .inception import Inception, InceptionBlock
from .layers import ConvUnit, MaxPool


@dataclass(frozen=True)
class ReceptiveField:
    """What one output position sees, and how far apart neighbours look.

    Attributes:
        endpoint: Name of the stage.
        frames: Extent in time, in frames; 1 for an image network.
        pixels: Extent in space, in pixels.
        frame_stride: Distance in time between neighbouring positions, in frames.
        pixel_stride: Distance in space, in pixels.
    """

    endpoint: str
    frames: int
    pixels: int
    frame_stride: int
    pixel_stride: int


def receptive_fields(network: Inception) -> list[ReceptiveField]:
    """The receptive field after every stage of an Inception-v1."""
    frames, pixels, frame_stride, pixel_stride = 1, 1, 1, 1
    found = []
    for name, stage in network.named_children():
        kernel, stride = _window(stage)
        if network.dims == 3:
            frames += (kernel[0] - 1) * frame_stride
            frame_stride *= stride[0]
        pixels += (kernel[-1] - 1) * pixel_stride
        pixel_stride *= stride[-1]
        found.append(ReceptiveField(name, frames, pixels, frame_stride, pixel_stride))
    return found


def _window(stage: nn.Module) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernel and stride; of an Inception block, its widest branch's."""
    if isinstance(stage, InceptionBlock):
        return (3,) * 3, (1,) * 3
    if isinstance(stage, MaxPool):
        return stage.kernel, stage.stride
    assert isinstance(stage, ConvUnit)
    return stage.conv.kernel_size, stage.conv.stride
