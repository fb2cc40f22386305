"""The iterations for CUDA devices: two fused Triton kernels an iteration, without a wait in between, and one
for the median filter, which in plain PyTorch would move more memory than all the iterations.

How far a pair moved in an iteration is kept on the device; the kernels of the next one read it and do
nothing where it has converged. The host looks once an outer iteration.
"""

# ruff: noqa: RUF005 (Triton knows no unpacking of tuples)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from jaxtyping import Float32
from torch import Tensor

from i3d_lightning.plan import Flow
from i3d_lightning.video.flow.solvers.median import network
from i3d_lightning.video.flow.solvers.reference import SMALLEST_GRADIENT

_BLOCK = 512
"""Pixels of one program."""

_MEDIAN_BLOCK = 256
"""Fewer, as each keeps its whole square in registers."""


def solve(
    problem: Float32[Tensor, "n 3 h w"],
    flow: Float32[Tensor, "n 2 h w"],
    dual: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> None:
    """Iterates every pair until it has converged; see the package."""
    problem = problem.contiguous()
    n, _, height, width = flow.shape
    limit = settings.epsilon**2 * height * width
    programs = (triton.cdiv(height * width, _BLOCK), n)
    going = torch.ones(n, dtype=torch.bool, device=flow.device)
    for _ in range(settings.outer_iterations):
        flow.copy_(torch.where(going[:, None, None, None], median_filter(flow, settings.median), flow))
        moved = torch.zeros(settings.inner_iterations + 1, n, device=flow.device)
        moved[0] = torch.where(going, torch.inf, 0)
        for k in range(settings.inner_iterations):
            _flow_kernel[programs](
                problem, flow, dual, moved[k], moved[k + 1], limit, settings.lambda_ * settings.theta,
                settings.theta, height, width, SMALLEST_GRADIENT, _BLOCK,
            )  # fmt: skip
            _dual_kernel[programs](
                flow, dual, moved[k], limit, settings.tau / settings.theta, height, width, _BLOCK
            )
        going = moved[-1] > limit
        if not going.any():
            break


def median_filter(images: Float32[Tensor, "n c h w"], side: int) -> Float32[Tensor, "n c h w"]:
    """The median of the square around each pixel, as `solvers.median` computes it."""
    if side == 1:
        return images
    n, channels, height, width = images.shape
    images, filtered = images.contiguous(), torch.empty_like(images)
    programs = (triton.cdiv(height * width, _MEDIAN_BLOCK), n * channels)
    _median_kernel[programs](images, filtered, height, width, side, network(side**2), _MEDIAN_BLOCK)
    return filtered


@triton.jit
def _median_kernel(
    image, filtered, height, width,
    SIDE: tl.constexpr, COMPARISONS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each pixel's square through the network of comparisons, in registers."""
    size = height * width
    pixel, inside, x, y = _pixels(width, size, BLOCK)
    start = tl.program_id(1).to(tl.int64) * size
    values = ()
    for dy in tl.static_range(SIDE):
        row = tl.minimum(tl.maximum(y + dy - SIDE // 2, 0), height - 1)
        for dx in tl.static_range(SIDE):
            column = tl.minimum(tl.maximum(x + dx - SIDE // 2, 0), width - 1)
            value = tl.load(image + start + row * width + column, inside, 0.0)
            values = values + (value,)  # type: ignore[assignment]
    for i in tl.static_range(len(COMPARISONS)):
        values = _in_order(values, COMPARISONS[i][0], COMPARISONS[i][1])
    tl.store(filtered + start + pixel, values[SIDE * SIDE // 2], inside)


@triton.jit
def _in_order(values, low: tl.constexpr, high: tl.constexpr):
    """Two wires put in order; the compiler drops what nothing uses."""
    lesser, greater = tl.minimum(values[low], values[high]), tl.maximum(values[low], values[high])
    return values[:low] + (lesser,) + values[low + 1 : high] + (greater,) + values[high + 1 :]


@triton.jit
def _pixels(width, size, BLOCK: tl.constexpr):
    """This program's pixels by number, whether they are of the image, and where."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    return pixel, pixel < size, pixel % width, pixel // width


@triton.jit
def _flow_kernel(
    problem, flow, dual, moved_before, moved, limit, most, theta, height, width,
    SMALLEST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Updates the flow, each pixel from itself and the dual variables around it."""
    pair = tl.program_id(1)
    if tl.load(moved_before + pair) > limit:
        size = height * width
        pixel, inside, x, y = _pixels(width, size, BLOCK)
        change = problem + pair.to(tl.int64) * 3 * size + pixel
        u_at = flow + pair.to(tl.int64) * 2 * size + pixel
        p_at = dual + pair.to(tl.int64) * 4 * size + pixel
        dx = tl.load(change, inside, 0.0)
        dy = tl.load(change + size, inside, 0.0)
        u = tl.load(u_at, inside, 0.0)
        v = tl.load(u_at + size, inside, 0.0)
        brightness = tl.load(change + 2 * size, inside, 0.0) + dx * u + dy * v
        step = -brightness / tl.maximum(dx * dx + dy * dy, SMALLEST)
        step = tl.minimum(tl.maximum(step, -most), most)
        left, above = inside & (x > 0), inside & (y > 0)
        div_u = tl.load(p_at, inside, 0.0) - tl.load(p_at - 1, left, 0.0)
        div_u += tl.load(p_at + size, inside, 0.0) - tl.load(p_at + size - width, above, 0.0)
        div_v = tl.load(p_at + 2 * size, inside, 0.0) - tl.load(p_at + 2 * size - 1, left, 0.0)
        div_v += tl.load(p_at + 3 * size, inside, 0.0) - tl.load(p_at + 3 * size - width, above, 0.0)
        by_u = step * dx + theta * div_u
        by_v = step * dy + theta * div_v
        tl.store(u_at, u + by_u, inside)
        tl.store(u_at + size, v + by_v, inside)
        tl.atomic_add(moved + pair, tl.sum(tl.where(inside, by_u * by_u + by_v * by_v, 0.0)))


@triton.jit
def _dual_kernel(
    flow, dual, moved_before, limit, speed, height, width, BLOCK: tl.constexpr
):  # fmt: skip
    """Updates the dual variables, each pixel from itself and the flow to its right and below it."""
    pair = tl.program_id(1)
    if tl.load(moved_before + pair) > limit:
        size = height * width
        pixel, inside, x, y = _pixels(width, size, BLOCK)
        right, below = inside & (x < width - 1), inside & (y < height - 1)
        for component in tl.static_range(2):
            u_at = flow + (pair.to(tl.int64) * 2 + component) * size + pixel
            p_at = dual + (pair.to(tl.int64) * 4 + 2 * component) * size + pixel
            u = tl.load(u_at, inside, 0.0)
            by_x = speed * (tl.load(u_at + 1, right, 0.0) - tl.where(right, u, 0.0))
            by_y = speed * (tl.load(u_at + width, below, 0.0) - tl.where(below, u, 0.0))
            shrink = 1 / (1 + tl.sqrt(by_x * by_x + by_y * by_y))
            tl.store(p_at, (tl.load(p_at, inside, 0.0) + by_x) * shrink, inside)
            tl.store(p_at + size, (tl.load(p_at + size, inside, 0.0) + by_y) * shrink, inside)
