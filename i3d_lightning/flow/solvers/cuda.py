"""The iterations for CUDA devices, in Triton: several a kernel, on tiles that stay on the chip in between.

A tile is read with a margin as wide as the iterations that are done on it, for what they see beyond it. When
a pair stops is known only once all its tiles are done: the next kernel then does its last iterations again,
from where they began, and only so many as it takes. The host looks once an outer iteration.
"""

# ruff: noqa: RUF005 (Triton knows no unpacking of tuples)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from jaxtyping import Float32
from torch import Tensor

from i3d_lightning.flow.solvers.median import network
from i3d_lightning.flow.solvers.reference import SMALLEST_GRADIENT
from i3d_lightning.recipe import Flow

AT_ONCE = 5
"""Iterations of a kernel."""

SIDE = 64
"""Pixels of a tile's side, margins included."""

WARPS = 16

_MEDIAN_BLOCK = 256
"""Pixels of a program of the median filter, each of which has its square in registers."""


def solve(
    problem: Float32[Tensor, "n 3 h w"],
    flow: Float32[Tensor, "n 2 h w"],
    dual: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> None:
    """Iterates every pair until it has converged; see the package."""
    left = torch.arange(len(flow), device=flow.device)
    for _ in range(settings.outer_iterations):
        filtered = median_filter(flow[left], settings.median)
        state, converged = _inner(problem[left], filtered, dual[left], settings)
        flow[left], dual[left] = state[:, :2], state[:, 2:]
        left = left[~converged]
        if not len(left):
            break


def _inner(
    problem: Float32[Tensor, "n 3 h w"],
    flow: Float32[Tensor, "n 2 h w"],
    dual: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> tuple[Float32[Tensor, "n 6 h w"], Tensor]:
    """Flow and dual variables after the inner iterations, and which pairs have converged."""
    pairs, _, height, width = flow.shape
    iterations, kernels = settings.inner_iterations, -(-settings.inner_iterations // AT_ONCE)
    limit = settings.epsilon**2 * height * width
    # What a kernel reads, what it writes, and what the one before it read.
    states = flow.new_empty(3, pairs, 6, height, width)
    states[0, :, :2], states[0, :, 2:] = flow, dual
    # How far each pair moved in each iteration, squared, behind two kernels' worth that never were.
    moved = flow.new_full(((kernels + 2) * AT_ONCE, pairs), torch.inf)
    done = moved[2 * AT_ONCE : 2 * AT_ONCE + iterations].zero_()
    inner_side = SIDE - 2 * AT_ONCE
    across = triton.cdiv(width, inner_side)
    tiles = across * triton.cdiv(height, inner_side)
    for kernel in range(kernels + 1):  # the last one only for pairs that stopped in the one before
        _iterate_kernel[tiles, pairs](
            problem, states[(kernel - 1) % 3], states[kernel % 3], states[(kernel + 1) % 3],
            moved[kernel * AT_ONCE :], pairs, min(AT_ONCE, iterations - kernel * AT_ONCE), limit,
            settings.lambda_ * settings.theta, settings.theta, settings.tau / settings.theta,
            height, width, across, SMALLEST_GRADIENT, AT_ONCE, triton.next_power_of_2(2 * AT_ONCE), SIDE,
            num_warps=WARPS,
        )  # fmt: skip
    stops = done <= limit
    converged = stops.any(0)
    # A pair that stopped lies where the kernel after wrote it, any other where the last one did.
    last = torch.where(converged, stops.int().argmax(0) // AT_ONCE + 2, kernels) % 3
    return states[last, torch.arange(pairs, device=flow.device)], converged


@triton.jit
def _iterate_kernel(
    problem, earlier, state, following, moved, pairs, iterations, limit, most, theta, speed,
    height, width, across,
    SMALLEST: tl.constexpr, AT_ONCE: tl.constexpr, ROWS: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    """Iterates one tile of one pair; `moved` begins two kernels back, with this one's rows behind theirs."""
    pair = tl.program_id(1)
    row = tl.arange(0, ROWS)
    stops = tl.load(moved + row * pairs + pair, row < 2 * AT_ONCE, float("inf")) <= limit
    over = tl.sum(tl.where(stops & (row < AT_ONCE), 1, 0)) > 0
    enough = tl.min(tl.where(stops & (row >= AT_ONCE), row - AT_ONCE + 1, AT_ONCE + 1))
    going = (enough > AT_ONCE) & (over == 0)
    count = tl.where(going, iterations, tl.where(over, 0, enough))
    if count > 0:
        i, j = tl.arange(0, SIDE)[:, None], tl.arange(0, SIDE)[None, :]
        y = tl.program_id(0) // across * (SIDE - 2 * AT_ONCE) - AT_ONCE + i
        x = tl.program_id(0) % across * (SIDE - 2 * AT_ONCE) - AT_ONCE + j
        size = height * width
        pixel = y * width + x
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        right, below = inside & (x < width - 1), inside & (y < height - 1)
        core = (i >= AT_ONCE) & (i < SIDE - AT_ONCE) & (j >= AT_ONCE) & (j < SIDE - AT_ONCE) & inside

        change = problem + pair.to(tl.int64) * 3 * size + pixel
        dx = tl.load(change, inside, 0.0)
        dy = tl.load(change + size, inside, 0.0)
        residual = tl.load(change + 2 * size, inside, 0.0)
        squared = tl.maximum(dx * dx + dy * dy, SMALLEST)
        place = pair.to(tl.int64) * 6 * size + pixel
        source = tl.where(going, state, earlier) + place
        u, v = tl.load(source, inside, 0.0), tl.load(source + size, inside, 0.0)
        ux, uy = tl.load(source + 2 * size, inside, 0.0), tl.load(source + 3 * size, inside, 0.0)
        vx, vy = tl.load(source + 4 * size, inside, 0.0), tl.load(source + 5 * size, inside, 0.0)
        for k in range(count):
            step = -(residual + dx * u + dy * v) / squared
            step = tl.minimum(tl.maximum(step, -most), most)
            by_u = step * dx + theta * (ux - _neighbour(ux, -1, 1) + uy - _neighbour(uy, -1, 0))
            by_v = step * dy + theta * (vx - _neighbour(vx, -1, 1) + vy - _neighbour(vy, -1, 0))
            u += by_u
            v += by_v
            distance = tl.sum(tl.where(core, by_u * by_u + by_v * by_v, 0.0))
            tl.atomic_add(moved + (2 * AT_ONCE + k) * pairs + pair, distance, mask=going)
            ux, uy = _projected(ux, uy, u, right, below, speed)
            vx, vy = _projected(vx, vy, v, right, below, speed)
        target = following + place
        tl.store(target, u, core)
        tl.store(target + size, v, core)
        tl.store(target + 2 * size, ux, core)
        tl.store(target + 3 * size, uy, core)
        tl.store(target + 4 * size, vx, core)
        tl.store(target + 5 * size, vy, core)


@triton.jit
def _projected(along_x, along_y, u, right, below, speed):
    """The dual variables of one component after a step of Chambolle's projection."""
    by_x = speed * tl.where(right, _neighbour(u, 1, 1) - u, 0.0)
    by_y = speed * tl.where(below, _neighbour(u, 1, 0) - u, 0.0)
    shrink = 1 / (1 + tl.sqrt(by_x * by_x + by_y * by_y))
    return (along_x + by_x) * shrink, (along_y + by_y) * shrink


@triton.jit
def _neighbour(tile, step: tl.constexpr, axis: tl.constexpr):
    """A tile moved by a pixel, through shared memory; what comes in at the edge is of no account."""
    side: tl.constexpr = tile.shape[axis]
    place = tl.minimum(tl.maximum(tl.arange(0, side) + step, 0), side - 1)
    place = place[:, None] if axis == 0 else place[None, :]
    return tl.gather(tile, tl.broadcast_to(place, tile.shape), axis)


def median_filter(images: Float32[Tensor, "n c h w"], side: int) -> Float32[Tensor, "n c h w"]:
    """The median of the square around each pixel, as `solvers.median` has it.

    In plain PyTorch it would move more memory than all the iterations.
    """
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
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < size
    start = tl.program_id(1).to(tl.int64) * size
    values = ()
    for dy in tl.static_range(SIDE):
        y = tl.minimum(tl.maximum(pixel // width + dy - SIDE // 2, 0), height - 1)
        for dx in tl.static_range(SIDE):
            x = tl.minimum(tl.maximum(pixel % width + dx - SIDE // 2, 0), width - 1)
            value = tl.load(image + start + y * width + x, inside, 0.0)
            values = values + (value,)  # type: ignore[assignment]
    for i in tl.static_range(len(COMPARISONS)):
        values = _in_order(values, COMPARISONS[i][0], COMPARISONS[i][1])
    tl.store(filtered + start + pixel, values[SIDE * SIDE // 2], inside)


@triton.jit
def _in_order(values, low: tl.constexpr, high: tl.constexpr):
    """Two wires put in order; the compiler drops what nothing uses."""
    lesser, greater = tl.minimum(values[low], values[high]), tl.maximum(values[low], values[high])
    return values[:low] + (lesser,) + values[low + 1 : high] + (greater,) + values[high + 1 :]
