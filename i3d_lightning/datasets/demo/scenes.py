"""A clip: a figure acting before a cluttered, muted background, filmed by a hand-held camera."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

from .actions import Action, Beat, View
from .figures import Build, Pose, draw_build, dress, put
from .geometry import Colour, Shape, apply, turn, wave

FPS = 25
WIDTH, HEIGHT = 80, 64
"""Size of the videos in pixels."""
OVERSAMPLED = 2
"""Frames are drawn this many times larger and averaged, so that thin limbs stay smooth."""
SUBPIXEL = 4
"""Fractional bits of the coordinates that OpenCV draws at."""
MARGIN = 24
"""Pixels of background beyond each edge of the frame, for the camera to move over."""


@dataclass(frozen=True)
class Setting:
    """What the clips of one group (one source video) share: who, where, and from which side.

    Attributes:
        build: The figure and its clothing.
        background: `h w c` uint8, larger than a frame by `MARGIN` on every side.
        ground: Colour of the shadow on the ground.
        prop: Colour of the prop.
        yaw: Turn of the camera within the action's view, -1 to 1.
        mirrored: Whether the whole figure is mirrored.
        faces_left: Whether a side view shows the figure facing left.
    """

    build: Build
    background: np.ndarray
    ground: Colour
    prop: Colour
    yaw: float
    mirrored: bool
    faces_left: bool


def draw_setting(rng: np.random.Generator, clutter: int) -> Setting:
    """Draws a setting; `clutter` is the number of things in the background."""
    background, ground = _background(rng, clutter)
    return Setting(
        build=draw_build(rng),
        background=background,
        ground=ground,
        prop=_muted(rng, rng.choice((0.35, 0.9)), 0.7),
        yaw=rng.uniform(-1, 1),
        mirrored=bool(rng.random() < 0.5),
        faces_left=bool(rng.random() < 0.5),
    )


def _muted(rng: np.random.Generator, value: float, saturation: float = 0.15) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.3, 1.0) * saturation, value)
    return 255 * red, 255 * green, 255 * blue


def _background(rng: np.random.Generator, clutter: int) -> tuple[np.ndarray, Colour]:
    h, w = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    light = rng.uniform(0.5, 0.68)
    wall, floor = _muted(rng, light), _muted(rng, light + rng.uniform(-0.12, 0.08))
    horizon = MARGIN + int(HEIGHT * rng.uniform(0.62, 0.8))
    image = np.empty((h, w, 3), np.float32)
    image[:horizon], image[horizon:] = wall, floor
    for _ in range(clutter):
        colour = _muted(rng, light + rng.uniform(-0.13, 0.13))
        x, y = int(rng.integers(0, w)), int(rng.integers(0, horizon))
        a, b = (int(n) for n in rng.integers(3, 16, 2))
        kind = rng.integers(4)
        if kind == 0:  # a picture, a window
            cv2.rectangle(image, (x, y), (x + a, y + b), colour, -1)
        elif kind == 1:  # a pillar, a tree
            cv2.rectangle(image, (x, y), (x + a // 2, horizon + 2), colour, -1)
        elif kind == 2:  # a bush, a lamp
            cv2.ellipse(image, (x, horizon - b // 3), (a, b), 0, 0, 360, colour, -1)
        else:  # a mark on the floor
            cv2.line(image, (x, horizon + b), (x + 3 * a, horizon + b), colour, 2)
    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    grain = cv2.resize(rng.normal(0, 4, (h // 3, w // 3)).astype(np.float32), (w, h))
    image = np.clip(image + grain[..., None], 0, 255).astype(np.uint8)
    return image, (0.82 * floor[0], 0.82 * floor[1], 0.82 * floor[2])


@dataclass(frozen=True)
class Camera:
    """A camera that looks horizontally at a figure, a little from above, and is moved by hand.

    Attributes:
        yaw: Turn of the world before the camera; 0 shows a figure facing right, -pi/2 facing the camera.
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


def view(points: np.ndarray, yaw: float, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Image coordinates `... 2` (right, down) and nearness `...` of points, in body heights."""
    x, y, z = np.moveaxis(apply(turn("z", yaw), points), -1, 0)
    up = z * np.cos(pitch) + y * np.sin(pitch)
    return np.stack([x, -up], -1), z * np.sin(pitch) - y * np.cos(pitch)


@dataclass(frozen=True)
class Scene:
    """Everything a clip is drawn from.

    Attributes:
        setting: Who acts where.
        shapes: The figure and its props.
        root: `t 3`, where the figure's pelvis is.
        camera: Who films it.
    """

    setting: Setting
    shapes: list[Shape]
    root: np.ndarray
    camera: Camera


def draw_scene(action: Action, setting: Setting, rng: np.random.Generator, unrest: float) -> Scene:
    """Draws one clip of an action.

    Args:
        action: What is done.
        setting: Who does it where.
        rng: Decides on speed, phase, size, framing and camera motion.
        unrest: How much the camera moves, around 1.
    """
    frames = int(rng.integers(20, 24))
    time = np.arange(frames)
    phase = rng.random() + action.cycles * rng.uniform(0.85, 1.2) * time / 16
    start, length = rng.uniform(0, 3), rng.uniform(15, 18)
    beat = Beat(phase, np.clip((time - start) / length, 0, 1), rng.uniform(0.85, 1.1), setting.prop, rng)
    performed = action.perform(beat)
    pose, props = performed if isinstance(performed, tuple) else (performed, None)
    _fidget(pose, rng)

    body = put(pose, setting.build)
    figure = dress(body)
    shapes = figure + (props(body) if props else [])
    handed = np.array([1.0, -1.0 if setting.mirrored and not action.directed else 1.0, 1.0])
    points = _gather(shapes, frames) * handed
    ends = np.cumsum([shape.points.shape[-2] for shape in shapes])
    shapes = [shape.at(part) for shape, part in zip(shapes, np.split(points, ends[:-1], axis=1), strict=True)]
    root = body.root * handed
    camera = _follow(action, setting, points, int(ends[len(figure) - 1]), root, unrest, rng)
    return Scene(setting, shapes, root, camera)


def _gather(shapes: list[Shape], frames: int) -> np.ndarray:
    """All points of all shapes, `t n 3`."""
    return np.concatenate([np.broadcast_to(s.points, (frames, *s.points.shape[-2:])) for s in shapes], axis=1)


def _fidget(pose: Pose, rng: np.random.Generator) -> None:
    """Nobody keeps a pose exactly: small slow movements of the hands, and posture."""
    time = np.arange(pose.frames)[:, None, None] / 16
    pose.hands += 0.05 * wave(rng.random((2, 3)) + rng.uniform(0.3, 1.0, (2, 3)) * time)
    pose.hands += rng.normal(0, 0.03, (2, 3))
    pose.lean = pose.lean + rng.normal(0, 0.05)
    pose.tilt = pose.tilt + rng.normal(0, 0.04)
    pose.nod = pose.nod + rng.normal(0, 0.08)


def _follow(
    action: Action,
    setting: Setting,
    points: np.ndarray,
    figure: int,
    root: np.ndarray,
    unrest: float,
    rng: np.random.Generator,
) -> Camera:
    """A camera that keeps the figure, the first `figure` points, in its frame, and most of its props."""
    yaw = _yaw(action.view, setting) + rng.normal(0, 0.08)
    pitch = rng.uniform(0.0, 0.25)
    time = np.linspace(-0.5, 0.5, len(root))[:, None]
    path, _ = view(root, yaw, pitch)
    pan = rng.uniform(0.55, 1.0) * time * (path[-1] - path[0])  # the steady part of the figure's travel

    seen = view(points, yaw, pitch)[0] - pan[:, None]
    low, high = seen[:, :figure].min((0, 1)) - 0.06, seen[:, :figure].max((0, 1)) + 0.06
    low, high = np.maximum(seen.min((0, 1)), low - 0.18), np.minimum(seen.max((0, 1)), high + 0.18)
    frame = np.array([WIDTH, HEIGHT])
    zoom = min(rng.uniform(44, 50), *(frame * (0.74, 0.92) / (high - low)))
    zoom = zoom * (1 + unrest * rng.uniform(-0.1, 0.1) * time)

    tremor = sum(wave(rng.random(2) + f * time) * rng.normal(0, a, 2) for f, a in ((0.8, 0.9), (1.8, 0.5), (3.4, 0.3)))
    shake = unrest * (tremor + time * rng.uniform((-5.0, -2.0), (5.0, 2.0)))
    centre = frame / 2 + rng.normal(0, (2.5, 0.8)) + shake
    return Camera(yaw, pitch, zoom[:, 0], centre - zoom * ((low + high) / 2 + pan), shake - zoom * pan)


def _yaw(side: View, setting: Setting) -> float:
    """Where an action is filmed from; see `Camera.yaw`."""
    way = -1 if setting.faces_left else 1
    return {
        "side": np.pi / 2 * (1 - way) + 0.5 * setting.yaw,
        "front": -np.pi / 2 + 0.5 * setting.yaw,
        "back": np.pi / 2 - way * np.pi / 4 + 0.3 * setting.yaw,
        "any": -np.pi / 2 + way * (0.7 + 0.6 * setting.yaw),
    }[side]


def film(scene: Scene) -> np.ndarray:
    """Draws every frame of a scene: `t h w c` uint8 RGB."""
    camera, scale = scene.camera, OVERSAMPLED
    shapes = [_shadow(scene), *scene.shapes]
    frames = len(scene.root)
    points = _gather(shapes, frames)
    counts = [shape.points.shape[-2] for shape in shapes]
    flat, near = view(points, camera.yaw, camera.pitch)
    pixels = camera.centre[:, None] + camera.zoom[:, None, None] * flat
    pixels = np.round((scale * (pixels + 0.5) - 0.5) * 2**SUBPIXEL).astype(np.int32)
    ends = np.cumsum(counts)
    starts = ends - counts
    depth = np.add.reduceat(near, starts, axis=1) / counts
    middle = view(scene.root, camera.yaw, camera.pitch)[1]
    light = np.clip(1 + 0.7 * (depth - middle[:, None]), 0.8, 1.15)
    order = np.argsort(depth + [s.nearer for s in shapes], axis=1, kind="stable")
    radii = np.round(scale * camera.zoom[:, None] * [s.radius for s in shapes] * 2**SUBPIXEL).astype(int)
    colours = np.minimum(light[..., None] * np.array([s.colour for s in shapes]), 255)
    colours[:, 0] = scene.setting.ground

    video = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(frames):
        canvas = _backdrop(scene, t)
        for i in order[t]:
            shape, colour, radius = shapes[i], colours[t, i].tolist(), int(radii[t, i])
            corners = pixels[t, starts[i] : ends[i]]
            if shape.solid:
                corners = cv2.convexHull(corners)
                cv2.fillConvexPoly(canvas, corners, colour, cv2.LINE_AA, SUBPIXEL)
            if len(corners) == 1:
                cv2.circle(canvas, corners[0], radius, colour, -1, cv2.LINE_AA, SUBPIXEL)
            elif radius:
                width = max(1, round(2 * radius / 2**SUBPIXEL))
                cv2.polylines(canvas, [corners], shape.solid or shape.closed, colour, width, cv2.LINE_AA, SUBPIXEL)
        video[t] = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return video


def _shadow(scene: Scene) -> Shape:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = 0.2 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)
    return Shape(scene.root[:, None] * (1, 1, 0) + rim, 0.02, scene.setting.ground, solid=True, nearer=-9)


def _backdrop(scene: Scene, t: int) -> np.ndarray:
    camera = scene.camera
    zoom = camera.zoom[t] / camera.zoom.mean()
    centre = np.array([WIDTH, HEIGHT]) / 2
    offset = centre + camera.shift[t] - zoom * (centre + MARGIN)
    matrix = np.array([[zoom, 0, offset[0]], [0, zoom, offset[1]]])
    small = cv2.warpAffine(scene.setting.background, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, (OVERSAMPLED * WIDTH, OVERSAMPLED * HEIGHT), interpolation=cv2.INTER_NEAREST)
