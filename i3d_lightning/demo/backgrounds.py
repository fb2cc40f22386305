"""Walls, floors and what stands about: cluttered, but muted, so that the figure stands out."""

from __future__ import annotations

import cv2
import numpy as np

from .drawing import HEIGHT, MARGIN, WIDTH
from .geometry import Colour, sample_colour


def sample_background(rng: np.random.Generator, clutter: int) -> tuple[np.ndarray, Colour]:
    """A background `h w c` uint8 with `clutter` things in it, and the colour of a shadow on its floor."""

    def muted(contrast: tuple[float, float]) -> Colour:
        return sample_colour(rng, light + rng.uniform(*contrast), (0.03, 0.1))

    h, w = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    light = rng.uniform(0.5, 0.68)
    wall, floor = muted((0.0, 0.0)), muted((-0.1, 0.06))
    horizon = MARGIN + int(HEIGHT * rng.uniform(0.62, 0.8))
    image = np.empty((h, w, 3), np.float32)
    image[:horizon], image[horizon:] = wall, floor
    for _ in range(clutter):
        colour, kind = muted((-0.08, 0.08)), rng.integers(4)
        x, y = int(rng.integers(w)), int(rng.integers(horizon))
        a, b = rng.integers(3, 16, 2).tolist()
        if kind == 0:  # a picture, a window
            cv2.rectangle(image, (x, y), (x + a, y + b), colour, -1)
        elif kind == 1:  # a pillar, a tree
            cv2.rectangle(image, (x, y), (x + a // 2, horizon + 2), colour, -1)
        elif kind == 2:  # a bush, a boulder
            cv2.ellipse(image, (x, horizon - b // 3), (a, b), 0, 0, 360, colour, -1)
        else:  # a mark on the floor
            cv2.line(image, (x, horizon + b), (x + 3 * a, horizon + b), colour, 2)
    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    grain = cv2.resize(rng.normal(0, 3, (h // 3, w // 3)).astype(np.float32), (w, h))
    return np.clip(image + grain[..., None], 0, 255).astype(np.uint8), _shaded(floor)


def _shaded(colour: Colour) -> Colour:
    red, green, blue = colour
    return 0.82 * red, 0.82 * green, 0.82 * blue
