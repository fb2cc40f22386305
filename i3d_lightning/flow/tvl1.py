"""TV-L1 optical flow (Zach, Pock and Bischof 2007) of batches of videos, as tensor operations.

The numerical scheme is that of Sánchez, Meinhardt-Llopis and Facciolo, IPOL 2013
(https://doi.org/10.5201/ipol.2013.26), in OpenCV's variant: a pyramid without blur, several warps a
scale, between them iterations that alternate a pointwise threshold with Chambolle's projection, and a
median filter. All pairs of a batch go through each step together; the iterations, where nearly all of
the time goes, have one solver for each kind of device behind one signature.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.flow import solvers
from i3d_lightning.recipe import Flow

log = logging.getLogger(__name__)

PART = 64
"""Pairs that go through the steps together, so that memory stays bounded."""

PART_ON_CUDA = 256
"""More, for the hundreds of kernels that a part starts are to take longer than starting them."""

SMALLEST = 16
"""Pixels that the shorter side of the coarsest scale has at least, as in OpenCV."""


def compute_flow(
    frames: UInt8[Tensor, "b t h w"] | Float[Tensor, "b t h w"],
    settings: Flow = Flow(),
    solver: str = "auto",
) -> Float32[Tensor, "b t-1 2 h w"]:
    """Compute the displacement from each frame to the next, x (rightwards) and y (downwards) in pixels.

    Frames too small for the settings' scales are given fewer, which is said once.

    Args:
        frames: Greyscale, in [0, 255], of the size that the flow is wanted in, on any device.
        settings: Settings of the algorithm; `bound` plays no part here.
        solver: `reference`, `cpu` or `cuda`, or `auto` for the fastest that there is for the device.

    Raises:
        InputError: There are fewer than two frames, they are smaller than 16 px, or they hold values that
            are not finite or not in [0, 255] (or all in [0, 1], which is taken for a mistake).
    """
    _check(frames)
    b, t, h, w = frames.shape
    images = frames.to(torch.float32)
    pairs = images[:, :-1].reshape(-1, h, w), images[:, 1:].reshape(-1, h, w)
    solve = solvers.choose(solver, frames.device)
    together = PART_ON_CUDA if frames.is_cuda else PART
    parts = zip(*(side.split(together) for side in pairs), strict=True)
    flow = torch.cat([_pairs(first, second, settings, solve) for first, second in parts])
    return flow.unflatten(0, (b, t - 1))


def _pairs(
    first: Float32[Tensor, "n h w"],
    second: Float32[Tensor, "n h w"],
    settings: Flow,
    solve: solvers.Solver,
) -> Float32[Tensor, "n 2 h w"]:
    """Compute the flow of pairs of images, from the coarsest scale to the finest."""
    h, w = first.shape[1:]
    scales = _scales(h, w, settings)
    pyramid = [(first, second)]
    for size in scales[1:]:
        pyramid.append(tuple(_resize(image, size, 1 / settings.scale_step) for image in pyramid[-1]))  # type: ignore[arg-type]
    flow = first.new_zeros(len(first), 2, *scales[-1])
    for size, (one, two) in zip(reversed(scales), reversed(pyramid), strict=True):
        if flow.shape[-2:] != size:
            flow = _resize(flow.flatten(0, 1), size).unflatten(0, (-1, 2)) / settings.scale_step
        flow = _refine(one, two, flow, settings, solve)
    return flow


def _refine(
    one: Float32[Tensor, "n h w"],
    two: Float32[Tensor, "n h w"],
    flow: Float32[Tensor, "n 2 h w"],
    settings: Flow,
    solve: solvers.Solver,
) -> Float32[Tensor, "n 2 h w"]:
    """Refine the flow at one scale: warps, and iterations after each."""
    dual = flow.new_zeros(len(flow), 4, *flow.shape[2:])
    flow = flow.contiguous()
    source = _padded(torch.stack([two, *_central_differences(two)], dim=1))
    for _ in range(settings.warps):
        warped, dx, dy = _warp(source, flow).unbind(1)
        residual = warped - dx * flow[:, 0] - dy * flow[:, 1] - one
        problem = torch.stack([dx, dy, residual], dim=1)
        solve(problem, flow, dual, settings)
    return flow


def _check(frames: Tensor) -> None:
    if frames.shape[1] < 2:
        raise InputError(f"Flow needs at least two frames, but there is {frames.shape[1]}.")
    if min(frames.shape[2:]) < SMALLEST:
        height, width = frames.shape[2:]
        raise InputError(f"Flow needs frames of at least {SMALLEST} px a side, not {width}x{height}.")
    if frames.is_floating_point():
        if not frames.isfinite().all():
            raise InputError("Flow needs finite frames, but there are NaN or infinite values among them.")
        if frames.min() < 0 or frames.max() > 255 or 0 < frames.max() <= 1:
            low, high = float(frames.min()), float(frames.max())
            raise InputError(f"Flow needs grey values in [0, 255], but these are in [{low:g}, {high:g}].")


def _scales(height: int, width: int, settings: Flow) -> list[tuple[int, int]]:
    """List the sizes of the pyramid's levels, finest first: none below 16 px."""
    sizes = [(height, width)]
    while len(sizes) < settings.scales:
        height, width = (round(side * settings.scale_step) for side in (height, width))
        if min(height, width) < SMALLEST:
            _say_fewer(sizes[0], len(sizes), settings.scales)
            break
        sizes.append((height, width))
    return sizes


@cache
def _say_fewer(size: tuple[int, int], used: int, wanted: int) -> None:
    log.warning(
        "Frames of %dx%d px have room for %d scales of TV-L1 only, not %d.", *size[::-1], used, wanted
    )


def _resize(
    images: Float32[Tensor, "n h w"], size: tuple[int, int], ratio: float | None = None
) -> Float32[Tensor, "n h2 w2"]:
    """Resize bilinearly, without smoothing; a pixel's side becomes `ratio` old ones, or the sizes' ratio."""
    rows, columns = (
        _interpolation(old, new, ratio or old / new).to(images.device)
        for old, new in zip(images.shape[1:], size, strict=True)
    )
    return rows @ images @ columns.T


@cache
def _interpolation(old: int, new: int, ratio: float) -> Float32[Tensor, "new old"]:
    """Make a matrix whose row i holds the weights of the old pixels in the new pixel i."""
    place = ((torch.arange(new, dtype=torch.float64) + 0.5) * ratio - 0.5).clamp(0, old - 1)
    distance = (place[:, None] - torch.arange(old)).abs()
    return (1 - distance).clamp(min=0).float()


def _central_differences(
    images: Float32[Tensor, "n h w"],
) -> tuple[Float32[Tensor, "n h w"], Float32[Tensor, "n h w"]]:
    """Compute half the difference of the neighbours in x and in y; the border is repeated outwards."""
    padded = F.pad(images[:, None], [1, 1, 1, 1], mode="replicate")[:, 0]
    dx = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    dy = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    return dx, dy


def _padded(images: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n c h2 w2"]:
    """Pad with zeros to the right and below, to powers of two: places in them are exact in float32."""
    rows, columns = ((1 << (side - 1).bit_length()) - side for side in images.shape[2:])
    return F.pad(images, [0, columns, 0, rows])


def _warp(
    images: Float32[Tensor, "n c h2 w2"], flow: Float32[Tensor, "n 2 h w"]
) -> Float32[Tensor, "n c h w"]:
    """Read images, padded, at each pixel's displaced place: bicubic, 0 outside."""
    y, x = (torch.arange(side, dtype=torch.float32, device=flow.device) for side in flow.shape[2:])
    places_x = (2 * (flow[:, 0] + x) + 1) / images.shape[3] - 1
    places_y = (2 * (flow[:, 1] + y[:, None]) + 1) / images.shape[2] - 1
    places = torch.stack([places_x, places_y], dim=-1)
    return F.grid_sample(images, places, mode="bicubic", padding_mode="zeros", align_corners=False)
