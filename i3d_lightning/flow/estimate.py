"""Optical flow of RGB frames, by whichever algorithm the settings say."""

from __future__ import annotations

from jaxtyping import Float32, UInt8
from torch import Tensor

from i3d_lightning.flow.raft import raft
from i3d_lightning.flow.tvl1 import compute_flow
from i3d_lightning.recipe import Flow
from i3d_lightning.video.transforms import grey


def estimate_flow(rgb: UInt8[Tensor, "b 3 t h w"], settings: Flow) -> Float32[Tensor, "b t-1 2 h w"]:
    """Estimate the displacement from each frame to the next, x (rightwards) and y (downwards) in pixels.

    Raises:
        InputError: The frames are too few or too small, or weights that are needed cannot be had.
    """
    if settings.algorithm == "tvl1":
        return compute_flow(grey(rgb), settings)
    return raft(rgb, settings.algorithm)
