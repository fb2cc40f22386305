"""RAFT (Teed and Deng 2020, https://arxiv.org/abs/2003.12039) by torchvision: learned flow, by choice."""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torchvision.models import optical_flow

from i3d_lightning.errors import InputError

log = logging.getLogger(__name__)

_WEIGHTS = {
    "raft-small": optical_flow.Raft_Small_Weights.C_T_V2,
    "raft-large": optical_flow.Raft_Large_Weights.C_T_SKHT_V2,
}
_BUILD = {"raft-small": optical_flow.raft_small, "raft-large": optical_flow.raft_large}
_PAIRS = 8
"""Pairs that go through the network together, so that memory stays bounded."""
_SMALLEST, _MULTIPLE = 128, 8
"""Pixels a side that the network takes at least, and what sides are multiples of."""


@torch.no_grad()
def raft(rgb: UInt8[Tensor, "b 3 t h w"], name: str) -> Float32[Tensor, "b t-1 2 h w"]:
    """Estimate the displacement from each frame to the next, x (rightwards) and y (downwards) in pixels.

    Args:
        rgb: Frames, on any device.
        name: `raft-small` or `raft-large`.

    Raises:
        InputError: There are fewer than two frames, or the weights cannot be had.
    """
    if rgb.shape[2] < 2:
        raise InputError(f"Flow needs at least two frames, but there is {rgb.shape[2]}.")
    network = _network(name, rgb.device)
    b, _, t, h, w = rgb.shape
    frames = F.pad(rgb.transpose(1, 2).flatten(0, 1) / 127.5 - 1, _margins(h, w), mode="replicate")
    frames = frames.unflatten(0, (b, t))
    first, second = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
    parts = zip(first.split(_PAIRS), second.split(_PAIRS), strict=True)
    flow = torch.cat([network(one, two)[-1] for one, two in parts])
    return flow[:, :, :h, :w].unflatten(0, (b, t - 1))


def _margins(height: int, width: int) -> list[int]:
    """Say what is added to the right and below."""
    sizes = (max(_SMALLEST, -(-side // _MULTIPLE) * _MULTIPLE) for side in (height, width))
    rows, columns = (size - side for size, side in zip(sizes, (height, width), strict=True))
    return [0, columns, 0, rows]


@cache
def _network(name: str, device: torch.device) -> nn.Module:
    log.warning(
        "Flow is computed by %s: networks that were trained on TV-L1, as all published ones, expect TV-L1.",
        name,
    )
    try:
        network = _BUILD[name](weights=_WEIGHTS[name], progress=False)
    except OSError as error:
        raise InputError(
            f"The weights of {name} cannot be downloaded ({error}): get {_WEIGHTS[name].url} and put it into "
            f"{torch.hub.get_dir()}/checkpoints, or use algorithm 'tvl1'."
        ) from error
    return network.eval().to(device)
