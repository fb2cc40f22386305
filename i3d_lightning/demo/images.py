"""Demo-ImageNet: things and people standing still, useful to know before the demo videos, but not those."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import props
from .backgrounds import sample_background
from .drawing import HEIGHT, WIDTH, Camera, film, view
from .figures import Pose, dress, put, sample_build
from .geometry import Colour, Shape, sample_colour, turn, vec

Thing = Callable[[np.random.Generator, Colour], list[Shape]]
ORIGIN = np.zeros((1, 3))


def _direction(rng: np.random.Generator) -> np.ndarray:
    """Any direction, `1 3`."""
    found = rng.normal(size=(1, 3))
    return found / np.linalg.norm(found)


def _umbrella(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    return props.umbrella(ORIGIN, _direction(rng), rng.uniform(0, 1, 1), colour)


def _flag(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    pole = vec(rng.normal(0, 0.3, 1), rng.normal(0, 0.3, 1), 1.0)
    return props.flag(ORIGIN, pole, vec(0.0, rng.choice((-1.0, 1.0), 1), 0.0), rng.random(1), colour)


def _rope(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    apart = vec(rng.normal(0, 0.1, 1), 0.35, rng.normal(0, 0.1, 1))
    return props.rope(-apart, apart, _direction(rng), colour)


def _barbell(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    apart = vec(rng.normal(0, 0.05, 1), 0.2, rng.normal(0, 0.05, 1))
    return props.barbell(apart, -apart, colour)


def _hoop(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    tilt = turn("x", rng.uniform(0, np.pi, 1)) @ turn("y", rng.uniform(0, np.pi, 1))
    return props.hoop(ORIGIN, tilt, 0.3, colour)


def _door(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    return props.door(vec(0.38, -0.42, np.zeros(1)), rng.uniform(0.05, 1.4, 1), colour, (196, 190, 180))


def _curtain(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    hands = [vec(np.zeros(1), side * rng.uniform(0.05, 0.5), 0.8) for side in (-1, 1)]
    return [s for hand, side in zip(hands, (-1, 1), strict=True) for s in props.curtain(hand, side, colour)]


THINGS: dict[str, Thing] = {
    "ball": lambda rng, colour: props.ball(ORIGIN, rng.uniform(0.06, 0.3), colour),
    "barbell": _barbell,
    "baseball bat": lambda rng, colour: props.bat(ORIGIN, _direction(rng), props.WOOD),
    "box": lambda rng, colour: props.box(ORIGIN, rng.uniform(0.2, 0.35), (172, 128, 82)),
    "chair": lambda rng, colour: props.chair(0.0, colour),
    "claw hammer": lambda rng, colour: props.hammer(ORIGIN, _direction(rng), _direction(rng)),
    "curtain": _curtain,
    "door": _door,
    "flag": _flag,
    "golf club": lambda rng, colour: props.club(ORIGIN, _direction(rng), _direction(rng)),
    "hoop": _hoop,
    "racket": lambda rng, colour: props.racket(ORIGIN, _direction(rng), colour),
    "rope": _rope,
    "shopping cart": lambda rng, colour: props.cart(vec(np.zeros(1), 0.0, 0.5), colour),
    "umbrella": _umbrella,
}


def _standing(pose: Pose) -> None:
    """As a pose begins."""


def _striding(pose: Pose) -> None:
    pose.feet[:, 0], pose.feet[:, 1] = vec(0.45, 0.05, -0.85), vec(-0.45, 0.05, -0.8)
    pose.hands[:, 0], pose.hands[:, 1] = vec(-0.4, 0.1, -0.8), vec(0.4, 0.1, -0.8)


def _bending(pose: Pose) -> None:
    pose.lean = 1.1
    pose.hands[:] = vec(0.85, 0.05, -0.4)


def _kneeling(pose: Pose) -> None:
    pose.feet[:, 0], pose.feet[:, 1] = vec(0.5, 0.08, -0.57), vec(-0.5, 0.05, -0.52)


def _crouching(pose: Pose) -> None:
    pose.feet[:] = vec(0.1, 0.15, -0.55)
    pose.lean = 0.7


def _lying(pose: Pose) -> None:
    pose.pitch = 1.5


def _arms_raised(pose: Pose) -> None:
    pose.hands[:] = vec(0.1, 0.2, 0.93)


def _arms_spread(pose: Pose) -> None:
    pose.hands[:] = vec(0.1, 0.95, 0.1)


def _legs_apart(pose: Pose) -> None:
    pose.feet[:] = vec(0.0, 0.5, -0.85)


PEOPLE: dict[str, Callable[[Pose], None]] = {
    "person arms raised": _arms_raised,
    "person arms spread": _arms_spread,
    "person bending": _bending,
    "person crouching": _crouching,
    "person kneeling": _kneeling,
    "person legs apart": _legs_apart,
    "person lying": _lying,
    "person standing": _standing,
    "person striding": _striding,
}


def draw_image(label: str, rng: np.random.Generator, clutter: int) -> np.ndarray:
    """An image of a category, `h w c` uint8 RGB, before a background of `clutter` things."""
    background, _ = sample_background(rng, clutter)
    if label in THINGS:
        shapes = THINGS[label](rng, sample_colour(rng, rng.choice((0.35, 0.9)), (0.2, 0.7)))
    else:
        pose = Pose(1)
        PEOPLE[label](pose)
        pose.hands += rng.normal(0, 0.08, (2, 3))
        pose.feet += rng.normal(0, 0.04, (2, 3))
        pose.tilt, pose.twist, pose.nod = rng.normal(0, 0.08), rng.normal(0, 0.2), rng.normal(0, 0.15)
        shapes = dress(put(pose, sample_build(rng)))
    shapes = [shape.at(shape.over(1)) for shape in shapes]
    return film(shapes, _portrait(shapes, rng), background)[0]


def _portrait(shapes: list[Shape], rng: np.random.Generator) -> Camera:
    """A camera from any side that sees all of it, somewhere in its frame."""
    yaw, pitch = rng.uniform(-np.pi, np.pi), rng.uniform(0.0, 0.35)
    seen, _ = view(np.concatenate([shape.points for shape in shapes], axis=1), yaw, pitch)
    low, high = seen.min((0, 1)) - 0.08, seen.max((0, 1)) + 0.08
    frame = np.array([WIDTH, HEIGHT])
    zoom = min(120.0, *(frame / (high - low))) * rng.uniform(0.65, 0.95)
    room = frame - zoom * (high - low)
    centre = frame / 2 + room * rng.uniform(-0.4, 0.4, 2) - zoom * (low + high) / 2
    return Camera(yaw, pitch, np.array([zoom]), centre[None], np.zeros((1, 2)))
