"""Rotations, easing and the shapes that everything in a demo clip is made of.

World axes: x to where a figure faces, y to its left, z up; lengths in body heights. Arrays begin
with time: a point is `t 3`, a rotation `t 3 3`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]
"""Red, green, blue in 0..255."""


def sample_colour(rng: np.random.Generator, value: float, saturation: tuple[float, float]) -> Colour:
    """Any hue, as light as `value` in 0..1, its saturation within a range."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), value)
    return 255 * red, 255 * green, 255 * blue


@dataclass(frozen=True)
class Shape:
    """Points to be drawn as one thing: a dot, a thick line, or the convex hull of them all.

    Attributes:
        points: `t n 3`, or `n 3` for what does not move, in body heights.
        radius: Half the thickness of the line, or how far a hull is rounded, in body heights.
        colour: Its colour before shading.
        solid: Fill the convex hull of the points instead of joining them by a line.
        closed: Join the last point to the first.
        nearer: Added to the depth by which shapes are sorted, in body heights.
    """

    points: np.ndarray
    radius: float
    colour: Colour
    solid: bool = False
    closed: bool = False
    nearer: float = 0.0

    def over(self, frames: int) -> np.ndarray:
        """Its points over time, also where it does not move."""
        return np.broadcast_to(self.points, (frames, *self.points.shape[-2:]))

    def at(self, points: np.ndarray) -> Shape:
        """The same shape elsewhere."""
        return replace(self, points=points)


def vec(*coordinates: np.ndarray | float) -> np.ndarray:
    """Coordinates that may vary over time as points `t 3` (or `3`, if none does)."""
    return np.stack(np.broadcast_arrays(*coordinates), axis=-1).astype(float)


def turn(axis: str, angle: np.ndarray | float) -> np.ndarray:
    """Rotation about a world axis: x leans right, y leans forward, z turns left."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    rows = {
        "x": ((i, o, o), (o, c, s), (o, -s, c)),
        "y": ((c, o, s), (o, i, o), (-s, o, c)),
        "z": ((c, -s, o), (s, c, o), (o, o, i)),
    }[axis]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def apply(rotation: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rotates points `t 3` or `3` by rotations `t 3 3`."""
    return np.einsum("...ij,...j->...i", rotation, points)


def ease(x: np.ndarray, start: float = 0.0, end: float = 1.0) -> np.ndarray:
    """0 before `start`, 1 after `end`, smooth between."""
    x = np.clip((x - start) / (end - start), 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def bump(phase: np.ndarray) -> np.ndarray:
    """0 at whole cycles, 1 half way between, smooth."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * phase)


def wave(phase: np.ndarray) -> np.ndarray:
    """A sine of one cycle per unit of phase."""
    return np.sin(2.0 * np.pi * phase)


def line(points: Sequence[np.ndarray], radius: float, colour: Colour, **kind: bool | float) -> Shape:
    """A shape from points `t 3`; points that do not move may be `3`."""
    return Shape(np.stack(np.broadcast_arrays(*points), axis=-2), radius, colour, **kind)  # type: ignore[arg-type]
