"""Articulated figures: a build and clothing drawn at random, posed by where hands and feet reach."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .geometry import Colour, Shape, apply, line, sample_colour, turn, vec

SKIN = ((245, 208, 178), (226, 180, 142), (198, 145, 106), (152, 104, 74), (106, 72, 52))
HAIR = ((40, 32, 28), (92, 62, 40), (190, 150, 90), (150, 78, 46), (130, 130, 132))


@dataclass(frozen=True)
class Build:
    """Proportions in body heights, and colours."""

    leg: float
    torso: float
    arm: float
    head: float
    shoulders: float
    hips: float
    arm_radius: float
    leg_radius: float
    torso_radius: float
    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    long_sleeves: bool
    long_trousers: bool
    long_hair: bool


def sample_build(rng: np.random.Generator) -> Build:
    """A figure nobody has seen before."""
    stout = rng.uniform(0.85, 1.25)
    dark_shirt = rng.random() < 0.5
    return Build(
        leg=rng.uniform(0.44, 0.50),
        torso=rng.uniform(0.27, 0.31),
        arm=rng.uniform(0.37, 0.43),
        head=rng.uniform(0.078, 0.095),
        shoulders=rng.uniform(0.10, 0.13),
        hips=rng.uniform(0.05, 0.065),
        arm_radius=0.036 * rng.uniform(0.9, 1.15),
        leg_radius=0.046 * rng.uniform(0.9, 1.15),
        torso_radius=0.062 * stout,
        skin=SKIN[rng.integers(len(SKIN))],
        hair=HAIR[rng.integers(len(HAIR))],
        shirt=_cloth(rng, dark_shirt),
        trousers=_cloth(rng, not dark_shirt if rng.random() < 0.6 else dark_shirt),
        shoes=_cloth(rng, rng.random() < 0.7),
        long_sleeves=rng.random() < 0.5,
        long_trousers=rng.random() < 0.7,
        long_hair=rng.random() < 0.35,
    )


def _cloth(rng: np.random.Generator, dark: bool) -> Colour:
    return sample_colour(rng, rng.uniform(0.22, 0.42) if dark else rng.uniform(0.8, 0.95), (0.2, 0.55))


@dataclass
class Pose:
    """What a body does over time. Angles in radians, `t`; index 0 is the right side.

    Attributes:
        frames: Number of frames `t`.
        hands: `t 2 3`, from the shoulder to the hand in arm lengths: forward, outward, up as the
            chest is turned.
        feet: `t 2 3`, from the hip to the foot in leg lengths: forward, outward, up as the body is
            turned.
        root: `t 3`, where the pelvis is, in body heights; its height is measured from standing on the
            lowest hand or foot unless `grounded` is false.
        facing: Turn of the whole body about the vertical, to its left.
        pitch: Fall of the whole body, forward.
        roll: Roll of the whole body, to its right.
        lean: Bend of the torso, forward.
        tilt: Bend of the torso, to the right.
        twist: Turn of the shoulders against the hips, to the left.
        nod: Bend of the head, forward.
        grounded: Whether the lowest hand or foot stands on the ground.
    """

    frames: int
    hands: np.ndarray = field(init=False)
    feet: np.ndarray = field(init=False)
    root: np.ndarray = field(init=False)
    facing: np.ndarray | float = 0.0
    pitch: np.ndarray | float = 0.0
    roll: np.ndarray | float = 0.0
    lean: np.ndarray | float = 0.0
    tilt: np.ndarray | float = 0.0
    twist: np.ndarray | float = 0.0
    nod: np.ndarray | float = 0.0
    grounded: bool = True

    def __post_init__(self) -> None:
        self.hands = np.tile(vec(0.1, 0.15, -0.93), (self.frames, 2, 1))
        self.feet = np.tile(vec(0.0, 0.08, -0.98), (self.frames, 2, 1))
        self.root = np.zeros((self.frames, 3))


@dataclass(frozen=True)
class Body:
    """A posed figure: joints `t 3` in the world, limbs as `t 2 3` (index 0 right)."""

    build: Build
    root: np.ndarray
    frame: np.ndarray
    chest: np.ndarray
    neck: np.ndarray
    head: np.ndarray
    head_frame: np.ndarray
    hips: np.ndarray
    knees: np.ndarray
    feet: np.ndarray
    shoulders: np.ndarray
    elbows: np.ndarray
    hands: np.ndarray

    def grip(self, hand: int = 0) -> np.ndarray:
        """Where a hand is, `t 3`."""
        return self.hands[:, hand]

    def along(self, direction: np.ndarray) -> np.ndarray:
        """A direction (forward, left, up) from the chest, as it lies in the world: `t 3`."""
        return apply(self.chest, direction)


SIDES = np.array([-1.0, 1.0])
"""The y of right and left."""


def put(pose: Pose, build: Build) -> Body:
    """Solves a pose for a build: forward kinematics to shoulders and hips, two-bone inverse beyond."""
    still = np.broadcast_to(np.eye(3), (pose.frames, 3, 3))
    frame = still @ turn("z", pose.facing) @ turn("y", pose.pitch) @ turn("x", pose.roll)
    chest = frame @ turn("z", pose.twist) @ turn("y", pose.lean) @ turn("x", pose.tilt)
    head_frame = chest @ turn("y", pose.nod)

    neck = apply(chest, vec(0.0, 0.0, build.torso))
    head = neck + apply(head_frame, vec(0.012, 0.0, build.head + 0.035))
    outward = np.stack([np.ones(2), SIDES, np.ones(2)], axis=-1)
    hips = apply(frame[:, None], vec(0.0, build.hips * SIDES, 0.0))
    shoulders = apply(chest[:, None], vec(0.0, build.shoulders * SIDES, build.torso - 0.01))
    to_feet = apply(frame[:, None], pose.feet * outward * build.leg)
    to_hands = apply(chest[:, None], pose.hands * outward * build.arm)
    knees, feet = _bend(hips, to_feet, build.leg, apply(frame[:, None], vec(1.0, 0.25 * SIDES, 0.0)))
    elbows, hands = _bend(shoulders, to_hands, build.arm, apply(chest[:, None], vec(-0.6, 0.6 * SIDES, -0.5)))

    root = pose.root.copy()
    if pose.grounded:
        root[:, 2] -= np.concatenate([feet, hands], axis=1)[..., 2].min(axis=1)
    points = (neck, head, hips, knees, feet, shoulders, elbows, hands)
    neck, head, *limbs = (p + (root if p.ndim == 2 else root[:, None]) for p in points)
    return Body(build, root, frame, chest, neck, head, head_frame, *limbs)


def _bend(
    start: np.ndarray, reach: np.ndarray, length: float, hint: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end of a limb of two equal bones that reaches from `start`, bending towards `hint`."""
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    direction = reach / np.maximum(distance, 1e-6)
    distance = np.clip(distance, 0.2 * length, 0.995 * length)
    sideways = hint - direction * (hint * direction).sum(-1, keepdims=True)
    sideways /= np.maximum(np.linalg.norm(sideways, axis=-1, keepdims=True), 1e-6)
    height = 0.5 * np.sqrt(length**2 - distance**2)
    return start + direction * distance / 2 + sideways * height, start + direction * distance


def dress(body: Body) -> list[Shape]:
    """The shapes of a figure, clothed."""
    build = body.build
    shapes = []
    for side in range(2):
        shoulder, elbow, hand = body.shoulders[:, side], body.elbows[:, side], body.hands[:, side]
        hip, knee, foot = body.hips[:, side], body.knees[:, side], body.feet[:, side]
        sleeve = build.shirt if build.long_sleeves else build.skin
        leg = build.trousers if build.long_trousers else build.skin
        toe = foot + apply(body.frame, vec(0.075, 0.0, 0.0))
        shapes += [
            line([shoulder, elbow], build.arm_radius, build.shirt),
            line([elbow, hand], 0.9 * build.arm_radius, sleeve),
            line([hand], 1.1 * build.arm_radius, build.skin, nearer=0.01),
            line([hip, knee], build.leg_radius, build.trousers),
            line([knee, foot], 0.85 * build.leg_radius, leg),
            line([foot, toe], 0.75 * build.leg_radius, build.shoes),
        ]
    waist = [body.hips[:, side] for side in range(2)]
    chest = [body.root + 0.9 * (body.shoulders[:, side] - body.root) for side in range(2)]
    shapes.append(line([*waist, *chest], build.torso_radius, build.shirt, solid=True))
    shapes.append(line(waist, build.torso_radius * 1.02, build.trousers, nearer=0.002))
    shapes.append(line([body.neck, body.head], 0.045, build.skin))
    shapes.append(line([body.head], build.head, build.skin, nearer=0.02))
    back = apply(body.head_frame, vec(-0.035, 0.0, 0.03))
    shapes.append(line([body.head + back], 0.95 * build.head, build.hair, nearer=0.02))
    if build.long_hair:
        tail = apply(body.head_frame, vec(-0.075, 0.0, -0.09))
        shapes.append(line([body.head + back, body.head + tail], 0.05, build.hair))
    return shapes
