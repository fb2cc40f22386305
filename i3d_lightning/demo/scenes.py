"""What a clip shows: a figure acting somewhere, filmed by a hand-held camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .actions import Action, Beat, View
from .backgrounds import sample_background
from .drawing import HEIGHT, WIDTH, Camera, view
from .figures import Build, Pose, dress, put, sample_build
from .geometry import Colour, Shape, apply, line, sample_colour, turn, vec, wave


@dataclass(frozen=True)
class Setting:
    """What the clips of one group (one source video) share: who, where, and from which side.

    Attributes:
        build: The figure and its clothing.
        background: See `drawing.film`.
        shadow: Colour of the shadow on the ground.
        prop: Colour of the prop.
        yaw: Turn of the camera within the action's view, -1 to 1.
        mirrored: Whether left-handed, where the class is no direction.
        faces_left: Whether a view from the side shows the figure facing left.
    """

    build: Build
    background: np.ndarray
    shadow: Colour
    prop: Colour
    yaw: float
    mirrored: bool
    faces_left: bool


@dataclass(frozen=True)
class Scene:
    """Everything a clip is drawn from.

    Attributes:
        shapes: The figure, its shadow and its props, in the world.
        camera: How they are filmed.
        root: `t 3`, where the figure's pelvis is in the world.
    """

    shapes: list[Shape]
    camera: Camera
    root: np.ndarray


def sample_setting(rng: np.random.Generator, clutter: int) -> Setting:
    """A setting with `clutter` things in the background."""
    background, shadow = sample_background(rng, clutter)
    return Setting(
        build=sample_build(rng),
        background=background,
        shadow=shadow,
        prop=sample_colour(rng, rng.choice((0.35, 0.9)), (0.2, 0.7)),
        yaw=rng.uniform(-1, 1),
        mirrored=bool(rng.random() < 0.5),
        faces_left=bool(rng.random() < 0.5),
    )


def sample_scene(action: Action, setting: Setting, rng: np.random.Generator, unrest: float) -> Scene:
    """One performance of an action.

    Args:
        action: What is done.
        setting: Who does it where.
        rng: Decides on speed, phase, size, framing and camera motion.
        unrest: How much the camera moves, around 1; it varies from clip to clip.
    """
    unrest = unrest * rng.uniform(0.6, 1.4)
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
    shapes = figure + (props(body) if props else []) + [_shadow(body.root, setting.shadow)]
    handed = vec(1.0, -1.0 if setting.mirrored and not action.directed else 1.0, 1.0)
    shapes = [shape.at(handed * shape.over(frames)) for shape in shapes]
    root = handed * body.root
    camera = _follow(shapes, len(figure), root, _yaw(action.view, setting), unrest, rng)
    return Scene(shapes + _passer_by(frames, root.mean(0), camera.yaw, rng), camera, root)


def _fidget(pose: Pose, rng: np.random.Generator) -> None:
    """Nobody keeps a pose exactly: small slow movements of the hands, and posture."""
    time = np.arange(pose.frames)[:, None, None] / 16
    pose.hands += 0.05 * wave(rng.random((2, 3)) + rng.uniform(0.3, 1.0, (2, 3)) * time)
    pose.hands += rng.normal(0, 0.03, (2, 3))
    pose.lean = pose.lean + rng.normal(0, 0.05)
    pose.tilt = pose.tilt + rng.normal(0, 0.04)
    pose.nod = pose.nod + rng.normal(0, 0.08)


def _shadow(root: np.ndarray, colour: Colour) -> Shape:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = [root * (1, 1, 0) + vec(0.2 * np.cos(a), 0.2 * np.sin(a), 0.0) for a in angles]
    return line(rim, 0.02, colour, solid=True, nearer=-9.0)


def _passer_by(frames: int, where: np.ndarray, yaw: float, rng: np.random.Generator) -> list[Shape]:
    """At times something that crosses the scene behind the figure and has no part in the action."""
    if rng.random() < 0.5:
        return []
    speed, start, way = rng.uniform(0.4, 1.4), rng.uniform(-1.1, 0.2), rng.choice((-1, 1))
    across = way * (start + speed * np.linspace(0, 1, frames))
    behind = rng.uniform(0.45, 0.8)
    colour = sample_colour(rng, rng.uniform(0.4, 0.8), (0.1, 0.4))

    def at(right: float, up: np.ndarray | float) -> np.ndarray:
        """World points `t 3` beside the thing's middle, to the image's right and up."""
        return where * (1, 1, 0) + apply(turn("z", -yaw), vec(across + right, behind, up))

    kind = rng.integers(3)
    if kind == 0:  # a ball
        radius = rng.uniform(0.05, 0.1)
        bounce = rng.uniform(0, 0.35) * np.abs(wave(rng.random() + across))
        return [line([at(0.0, radius + bounce)], radius, colour)]
    if kind == 1:  # a bird
        height = rng.uniform(0.75, 1.15)
        tips = height + 0.07 * wave(rng.random() + 2.5 * np.linspace(0, 1, frames))
        return [line([at(-0.11, tips), at(0.0, height), at(0.11, tips)], 0.018, colour)]
    length, height = rng.uniform(0.25, 0.4), rng.uniform(0.14, 0.24)  # a car
    body = [at(right, up) for right in (-length, length) for up in (0.07, height)]
    wheels = [line([at(0.6 * r, 0.06)], 0.055, (50, 50, 55), nearer=0.01) for r in (-length, length)]
    return [line(body, 0.03, colour, solid=True), *wheels]


def _yaw(side: View, setting: Setting) -> float:
    """Where an action is filmed from; see `Camera.yaw`."""
    way = -1 if setting.faces_left else 1
    return {
        "side": np.pi / 2 * (1 - way) + 0.35 * setting.yaw,
        "front": -np.pi / 2 + 0.35 * setting.yaw,
        "back": np.pi / 2 - way * np.pi / 4 + 0.25 * setting.yaw,
        "any": -np.pi / 2 + way * (0.7 + 0.4 * setting.yaw),
    }[side]


def _follow(
    shapes: list[Shape], figure: int, root: np.ndarray, yaw: float, unrest: float, rng: np.random.Generator
) -> Camera:
    """A camera that keeps the figure, the first shapes, in its frame, and most of its props."""
    yaw, pitch = yaw + rng.normal(0, 0.08), rng.uniform(0.0, 0.25)
    time = np.linspace(-0.5, 0.5, len(root))[:, None]
    path, _ = view(root, yaw, pitch)
    pan = rng.uniform(0.55, 1.0) * time * (path[-1] - path[0])  # with the steady part of the figure's travel

    def extent(shapes: list[Shape]) -> tuple[np.ndarray, np.ndarray]:
        points = np.concatenate([shape.points for shape in shapes], axis=1)
        seen = view(points, yaw, pitch)[0] - pan[:, None]
        return seen.min((0, 1)), seen.max((0, 1))

    (low, high), (lowest, highest) = extent(shapes[:figure]), extent(shapes)
    low, high = np.maximum(lowest, low - 0.22), np.minimum(highest, high + 0.22)
    frame = np.array([WIDTH, HEIGHT])
    zoom = min(rng.uniform(44, 50), *(frame * (0.74, 0.92) / (high - low + 0.1)))
    zoom = zoom * (1 + unrest * rng.uniform(-0.05, 0.05) * time)

    tremors = ((0.8, 0.5), (1.8, 0.25), (3.4, 0.15))  # cycles a clip, pixels
    shake = sum(wave(rng.random(2) + cycles * time) * rng.normal(0, size, 2) for cycles, size in tremors)
    shake = unrest * (shake + time * rng.uniform((-2.5, -1.0), (2.5, 1.0)))
    centre = frame / 2 + rng.normal(0, (2.5, 0.8)) + shake
    return Camera(yaw, pitch, zoom[:, 0], centre - zoom * ((low + high) / 2 + pan), shake - zoom * pan)
