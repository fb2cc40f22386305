"""The iterations for CPUs: compiled by Numba, one pass over a pair's rows for each, a pair for each thread.

In one pass the flow of a row is updated and then the dual variables of the row above it, which needs both:
every array is read and written once an iteration. Pairs do not wait for each other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from i3d_lightning.flow.solvers.median import network
from i3d_lightning.flow.solvers.reference import SMALLEST_GRADIENT
from i3d_lightning.recipe import Flow

# Everything of fast arithmetic but reassociation, whose order of sums differs between code that was just
# compiled and the same code read from Numba's cache.
_FAST = {"nnan", "ninf", "nsz", "arcp", "contract", "afn"}
_compiled = numba.njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
_ONE = np.float32(1)
_ZERO = np.float32(0)
_SMALLEST = np.float32(SMALLEST_GRADIENT)


def solve(
    problem: Float32[Tensor, "n 3 h w"],
    flow: Float32[Tensor, "n 2 h w"],
    dual: Float32[Tensor, "n 4 h w"],
    settings: Flow,
) -> None:
    """Iterates every pair until it has converged; see the package. Uses as many threads as PyTorch."""
    arrays = problem.numpy(), flow.numpy(), dual.numpy()
    constants = np.array(
        [
            settings.lambda_ * settings.theta,
            settings.theta,
            settings.tau / settings.theta,
            settings.epsilon**2 * flow.shape[2] * flow.shape[3],
        ],
        np.float32,
    )
    comparisons = np.array(network(settings.median**2), np.int64).reshape(-1, 4)
    counts = settings.outer_iterations, settings.inner_iterations, settings.median
    arguments: tuple[Any, ...] = (*arrays, constants, *counts, comparisons)
    threads = min(torch.get_num_threads(), len(flow))
    if threads == 1:
        _solve_every(0, 1, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_solve_every, first, threads, *arguments) for first in range(threads)]
        for job in jobs:
            job.result()


@_compiled
def _solve_every(first, step, problem, flow, dual, constants, outer, inner, side, comparisons):
    """Pairs from `first` on, every `step`-th."""
    for n in range(first, len(flow), step):
        _solve(problem[n], flow[n], dual[n], constants, outer, inner, side, comparisons)


@_compiled
def _solve(problem, flow, dual, constants, outer, inner, side, comparisons):
    limit = constants[3]
    inverse = np.empty_like(problem[0])
    for y in range(inverse.shape[0]):
        for x in range(inverse.shape[1]):
            squared = problem[0, y, x] * problem[0, y, x] + problem[1, y, x] * problem[1, y, x]
            inverse[y, x] = _ONE / max(squared, _SMALLEST)
    for _ in range(outer):
        if side > 1:
            _median(flow[0], side, comparisons)
            _median(flow[1], side, comparisons)
        for _ in range(inner):
            if _iterate(problem, inverse, flow, dual, constants) <= limit:
                return


@_compiled
def _iterate(problem, inverse, flow, dual, constants):
    """One iteration; gives by how much the flow moved, squared."""
    most, theta, speed = constants[0], constants[1], constants[2]
    height, width = inverse.shape
    nothing = np.zeros(width, np.float32)
    moved = 0.0
    for y in range(height):
        moved += _flow_row(
            problem[0, y], problem[1, y], problem[2, y], inverse[y], flow[0, y], flow[1, y],
            dual[0, y], dual[1, y], dual[2, y], dual[3, y],
            dual[1, y - 1] if y > 0 else nothing, dual[3, y - 1] if y > 0 else nothing, most, theta,
        )  # fmt: skip
        if y > 0:
            _dual_row(flow[0, y - 1], flow[0, y], dual[0, y - 1], dual[1, y - 1], speed)
            _dual_row(flow[1, y - 1], flow[1, y], dual[2, y - 1], dual[3, y - 1], speed)
    last = height - 1
    _dual_row(flow[0, last], flow[0, last], dual[0, last], dual[1, last], speed)
    _dual_row(flow[1, last], flow[1, last], dual[2, last], dual[3, last], speed)
    return moved


@_compiled
def _flow_row(dx, dy, residual, inverse, u, v, p11, p12, p21, p22, p12_above, p22_above, most, theta):
    """Updates a row of the flow; gives by how much it moved, squared."""
    moved = _ZERO
    brightness = residual[0] + dx[0] * u[0] + dy[0] * v[0]
    step = min(max(-brightness * inverse[0], -most), most)
    by_u = step * dx[0] + theta * (p11[0] + p12[0] - p12_above[0])
    by_v = step * dy[0] + theta * (p21[0] + p22[0] - p22_above[0])
    u[0] += by_u
    v[0] += by_v
    moved += by_u * by_u + by_v * by_v
    for x in range(1, len(u)):
        brightness = residual[x] + dx[x] * u[x] + dy[x] * v[x]
        step = min(max(-brightness * inverse[x], -most), most)
        by_u = step * dx[x] + theta * (p11[x] - p11[x - 1] + p12[x] - p12_above[x])
        by_v = step * dy[x] + theta * (p21[x] - p21[x - 1] + p22[x] - p22_above[x])
        u[x] += by_u
        v[x] += by_v
        moved += by_u * by_u + by_v * by_v
    return moved


@_compiled
def _dual_row(u, u_below, p1, p2, speed):
    """Updates the dual variables of a row of one component."""
    last = len(u) - 1
    for x in range(last):
        by_x = speed * (u[x + 1] - u[x])
        by_y = speed * (u_below[x] - u[x])
        shrink = _ONE / (_ONE + np.sqrt(by_x * by_x + by_y * by_y))
        p1[x] = (p1[x] + by_x) * shrink
        p2[x] = (p2[x] + by_y) * shrink
    by_y = speed * (u_below[last] - u[last])
    shrink = _ONE / (_ONE + abs(by_y))
    p1[last] *= shrink
    p2[last] = (p2[last] + by_y) * shrink


@_compiled
def _median(image, side, comparisons):
    """Median filter in place; the border is repeated outwards."""
    height, width = image.shape
    margin = side // 2
    padded = np.empty((height + 2 * margin, width + 2 * margin), np.float32)
    for y in range(height + 2 * margin):
        row = image[min(max(y - margin, 0), height - 1)]
        for x in range(margin):
            padded[y, x] = row[0]
            padded[y, margin + width + x] = row[width - 1]
        for x in range(width):
            padded[y, margin + x] = row[x]
    wires = np.empty((side * side, width), np.float32)
    for y in range(height):
        for wire in range(side * side):
            source = padded[y + wire // side]
            offset = wire % side
            for x in range(width):
                wires[wire, x] = source[x + offset]
        for n in range(len(comparisons)):
            low, high = wires[comparisons[n, 0]], wires[comparisons[n, 1]]
            if comparisons[n, 2] and comparisons[n, 3]:
                for x in range(width):
                    a, b = low[x], high[x]
                    low[x] = min(a, b)
                    high[x] = max(a, b)
            elif comparisons[n, 2]:
                for x in range(width):
                    low[x] = min(low[x], high[x])
            else:
                for x in range(width):
                    high[x] = max(low[x], high[x])
        result = wires[side * side // 2]
        for x in range(width):
            image[y, x] = result[x]
