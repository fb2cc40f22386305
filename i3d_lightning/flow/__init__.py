"""Optical flow: TV-L1 as a tensor operation, kept on disk or computed for each batch."""

from i3d_lightning.flow.estimate import estimate_flow
from i3d_lightning.flow.image_folders import FlowImages
from i3d_lightning.flow.on_device import FlowFromFrames, FlowToCome, compute_all
from i3d_lightning.flow.store import FlowStore
from i3d_lightning.flow.tvl1 import compute_flow
from i3d_lightning.video.transforms import grey

__all__ = [
    "FlowFromFrames",
    "FlowImages",
    "FlowStore",
    "FlowToCome",
    "compute_all",
    "compute_flow",
    "estimate_flow",
    "grey",
]
