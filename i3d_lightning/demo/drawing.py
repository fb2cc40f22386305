"""From shapes in the world to frames: projection, shading, and antialiased drawing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import Shape, apply, turn

WIDTH, HEIGHT = 80, 64
"""Size of the videos in pixels."""
MARGIN = 24
"""Pixels of background beyond each edge of the frame, for the camera to move over."""
OVERSAMPLED = 2
"""Frames are drawn this many times larger and averaged, so that thin limbs stay smooth."""
SUBPIXEL = 4
"""Fractional bits of the coordinates that OpenCV draws at."""


@dataclass(frozen=True)
class Camera:
    """A camera far away from what it films.

    Attributes:
        yaw: Turn of the world before it; 0 shows a figure facing right, -pi/2 facing the camera.
        pitch: How far it looks down.
        zoom: `t`, pixels per body height.
        centre: `t 2`, where the world's origin falls in the frame, in pixels.
        shift: `t 2`, displacement of the background, in pixels.
    """

    yaw: float
    pitch: float
    zoom: np.ndarray
    centre: np.ndarray
    shift: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels `t n 2` (right, down) of points `t n 3`."""
        return self.centre[:, None] + self.zoom[:, None, None] * view(points, self.yaw, self.pitch)[0]


def view(points: np.ndarray, yaw: float, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Image coordinates `... 2` (right, down) and nearness `...` of points, in body heights."""
    x, y, z = np.moveaxis(apply(turn("z", yaw), points), -1, 0)
    up = z * np.cos(pitch) + y * np.sin(pitch)
    return np.stack([x, -up], -1), z * np.sin(pitch) - y * np.cos(pitch)


def film(shapes: list[Shape], camera: Camera, background: np.ndarray) -> np.ndarray:
    """Draws shapes before a background, the farthest first: `t h w c` uint8 RGB.

    Args:
        shapes: What there is to see, each with points `t n 3`.
        camera: Where it is seen from.
        background: `h w c` uint8, larger than a frame by `MARGIN` on every side.
    """
    points = np.concatenate([shape.points for shape in shapes], axis=1)
    sizes = np.array([shape.points.shape[1] for shape in shapes])
    ends = np.cumsum(sizes)
    corners = OVERSAMPLED * (camera.project(points) + 0.5) - 0.5
    corners = np.round(corners * 2**SUBPIXEL).astype(np.int32)
    depth = np.add.reduceat(view(points, camera.yaw, camera.pitch)[1], ends - sizes, axis=1) / sizes
    order = np.argsort(depth + [shape.nearer for shape in shapes], axis=1, kind="stable")
    light = np.clip(1 + 0.7 * (depth - depth.mean(1, keepdims=True)), 0.8, 1.15)  # what is near is lit
    colours = np.minimum(light[..., None] * [shape.colour for shape in shapes], 255)
    radii = OVERSAMPLED * camera.zoom[:, None] * [shape.radius for shape in shapes]

    video = np.empty((len(points), HEIGHT, WIDTH, 3), np.uint8)
    for t in range(len(video)):
        canvas = _backdrop(background, camera, t)
        for i in order[t]:
            its = slice(ends[i] - sizes[i], ends[i])
            _draw(canvas, shapes[i], corners[t, its], radii[t, i], colours[t, i].tolist())
        video[t] = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return video


def _backdrop(background: np.ndarray, camera: Camera, t: int) -> np.ndarray:
    """What the camera sees of the background, ready to be drawn on."""
    zoom = camera.zoom[t] / camera.zoom.mean()
    centre = np.array([WIDTH, HEIGHT]) / 2
    offset = centre + camera.shift[t] - zoom * (centre + MARGIN)
    matrix = np.array([[zoom, 0, offset[0]], [0, zoom, offset[1]]])
    seen = cv2.warpAffine(background, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    return cv2.resize(seen, None, fx=OVERSAMPLED, fy=OVERSAMPLED, interpolation=cv2.INTER_NEAREST)


def _draw(canvas: np.ndarray, shape: Shape, corners: np.ndarray, radius: float, colour: list[float]) -> None:
    if shape.solid:
        corners = cv2.convexHull(corners)
        cv2.fillConvexPoly(canvas, corners, colour, cv2.LINE_AA, SUBPIXEL)
    if len(corners) == 1:
        cv2.circle(canvas, corners[0], round(radius * 2**SUBPIXEL), colour, -1, cv2.LINE_AA, SUBPIXEL)
    elif radius > 0:
        width, closed = max(1, round(2 * radius)), shape.solid or shape.closed
        cv2.polylines(canvas, [corners], closed, colour, width, cv2.LINE_AA, SUBPIXEL)
