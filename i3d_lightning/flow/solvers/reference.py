"""The iterations in plain PyTorch: for any device, and what the other solvers are tested against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

from i3d_lightning.flow.solvers.median import median_filter
from i3d_lightning.recipe import Flow

SMALLEST_GRADIENT = 1.1920929e-07
"""Squared gradient below which a pixel says nothing of its displacement: OpenCV's float32 epsilon."""


def solve(
    problem: Float32[Tensor, "n 3 h w"],
    flow: Float32[Tensor, "n 2 h w"],
    dual: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> None:
    """Iterates every pair until it has converged; see the package.

    Pairs that have are held while the others go on, and left out once an outer iteration is over, which
    is when the host waits for the device.
    """
    limit = settings.epsilon**2 * flow.shape[2] * flow.shape[3]
    left = torch.arange(len(flow), device=flow.device)
    for _ in range(settings.outer_iterations):
        parts, u, p = problem[left], flow[left], dual[left]
        u = median_filter(u.flatten(0, 1), settings.median).unflatten(0, (-1, 2))
        going = torch.ones(len(left), dtype=torch.bool, device=flow.device)
        for _ in range(settings.inner_iterations):
            new_u, new_p, moved = _iterate(parts, u, p, settings)
            apply = going[:, None, None, None]
            u, p = torch.where(apply, new_u, u), torch.where(apply, new_p, p)
            going &= moved > limit
        flow[left], dual[left] = u, p
        left = left[going]
        if not len(left):
            break


def _iterate(
    problem: Float32[Tensor, "n 3 h w"],
    u: Float32[Tensor, "n 2 h w"],
    p: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> tuple[Float32[Tensor, "n 2 h w"], Float32[Tensor, "n 4 h w"], Float32[Tensor, " n"]]:
    """One iteration of all pairs: the flow, the dual variables, and by how much the flow moved, squared."""
    gradient, residual = problem[:, :2], problem[:, 2]
    most = settings.lambda_ * settings.theta
    brightness = residual + (gradient * u).sum(1)
    squared = gradient.square().sum(1).clamp(min=SMALLEST_GRADIENT)
    step = (-brightness / squared).clamp(-most, most)
    p = p.unflatten(1, (2, 2))
    new_u = u + step[:, None] * gradient + settings.theta * _divergence(p)
    moved = (new_u - u).square().sum((1, 2, 3))
    slope = _forward_differences(new_u)
    speed = settings.tau / settings.theta
    new_p = (p + speed * slope) / (1 + speed * slope.norm(dim=2, keepdim=True))
    return new_u, new_p.flatten(1, 2), moved


def _divergence(p: Float32[Tensor, "n 2 2 h w"]) -> Float32[Tensor, "n 2 h w"]:
    """By backward differences; outside the image there is nothing."""
    by_x, by_y = p.unbind(2)
    return by_x - F.pad(by_x, [1, -1]) + by_y - F.pad(by_y, [0, 0, 1, -1])


def _forward_differences(u: Float32[Tensor, "n 2 h w"]) -> Float32[Tensor, "n 2 2 h w"]:
    """By x and by y; 0 at the last column and row."""
    by_x = F.pad(u[..., 1:] - u[..., :-1], [0, 1])
    by_y = F.pad(u[..., 1:, :] - u[..., :-1, :], [0, 0, 0, 1])
    return torch.stack([by_x, by_y], dim=2)
