"""What Table 1 of arXiv 1705.07750 lists of a network: parameters, multiply-adds, clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from i3d_lightning.networks.registry import Architecture, unallocated
from i3d_lightning.recipe import Clips, Training


@dataclass(frozen=True)
class Extent:
    """What a clip covers: RGB frames, flow fields, and seconds of video."""

    rgb_frames: int
    flow_fields: int
    seconds: float

    def __str__(self) -> str:
        parts = [f"{self.rgb_frames} RGB"] * bool(self.rgb_frames)
        parts += [f"{self.flow_fields} flow"] * bool(self.flow_fields)
        return f"{' + '.join(parts)}, {self.seconds:.2f} s"


@dataclass(frozen=True)
class Size:
    """Table 1 of an architecture, over all its streams.

    Attributes:
        parameters: Of all its networks.
        multiply_adds: Of convolutions and matrix products for one training clip.
        train: A training clip.
        test: The longest test clip.
    """

    parameters: int
    multiply_adds: int
    train: Extent
    test: Extent


def size(architecture: Architecture, classes: int = 400) -> Size:
    """Count what Table 1 lists, without allocating or computing anything."""
    clips = architecture.clips
    costs = [cost(architecture, stream, clips, classes) for stream in architecture.usual_streams]
    sees_flow = architecture.usual_streams != ("rgb",)
    return Size(
        sum(c.parameters for c in costs),
        sum(c.multiply_adds for c in costs),
        _extent(clips, clips.train_frames, sees_flow),
        _extent(clips, clips.test_frames, sees_flow),
    )


@dataclass(frozen=True)
class Cost:
    """Parameters of a network, and multiply-adds of its convolutions and matrix products for one clip."""

    parameters: int
    multiply_adds: int


@lru_cache(maxsize=256)
def cost(architecture: Architecture, stream: str, clips: Clips, classes: int = 400) -> Cost:
    """Count what a stream's network costs on one training clip, without allocating or computing anything.

    Raises:
        InputError: It cannot be built here, as where its library is not installed.
    """
    with unallocated():
        network = architecture.build(classes, stream, clips, Training()).eval()
        # Attention as plain products, which alone are counted.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network(*example_clips(stream, clips))
    return Cost(sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)


def example_clips(stream: str, clips: Clips, batch: int = 1) -> list[torch.Tensor]:
    """Make uninitialised training clips of the shapes that a stream's network gets, `b c t h w` each."""
    rgb = torch.empty(batch, 3, clips.train_frames // clips.snapshot, clips.crop, clips.crop)
    flow = torch.empty(batch, 2, clips.train_frames, clips.crop, clips.crop)
    return {"rgb": [rgb], "flow": [flow], "joint": [rgb, flow]}[stream]


def _extent(clips: Clips, frames: int, sees_flow: bool) -> Extent:
    return Extent(frames // clips.snapshot, frames if sees_flow else 0, frames / clips.fps)
