"""Optical flow: computed once per video and kept on disk."""

from i3d_lightning.video.flow.store import FlowStore
from i3d_lightning.video.flow.tvl1 import compute_flow
from i3d_lightning.video.transforms import grey

__all__ = ["FlowStore", "compute_flow", "grey"]
