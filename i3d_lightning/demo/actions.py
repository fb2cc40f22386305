"""What figures do: every action is a short function from the beat to a pose and its props.

Reaches are (forward, outward, up) in arm lengths from the shoulder and leg lengths from the hip, see
`figures.Pose`; the right side leads, and a clip may be mirrored as a whole afterwards unless its class
is a direction. Pairs such as opening and closing are one function run forwards and backwards, so that
no single frame tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from . import props
from .figures import Body, Pose
from .geometry import Colour, Shape, apply, bump, ease, turn, vec, wave

Props = Callable[[Body], list[Shape]]
View = Literal["side", "front", "back", "any"]


@dataclass(frozen=True)
class Beat:
    """Time as an actor counts it.

    Attributes:
        phase: `t`, cycles of a repeated movement.
        progress: `t`, 0 to 1 through a movement made once.
        size: How large the movement is made, around 1.
        colour: Of the prop, if there is one.
        rng: For an action's own choices.
    """

    phase: np.ndarray
    progress: np.ndarray
    size: float
    colour: Colour
    rng: np.random.Generator

    def stance(self) -> Pose:
        """A relaxed stance to start from."""
        return Pose(len(self.phase))


@dataclass(frozen=True)
class Action:
    """How an action is performed and filmed.

    Attributes:
        perform: From the beat to a pose, or to a pose and its props.
        view: Where it is filmed from; `any` is from the side to the front.
        cycles: Cycles in 16 frames, for repeated movements.
        directed: Left and right tell its class, so it is never mirrored.
    """

    perform: Callable[[Beat], Pose | tuple[Pose, Props]]
    view: View = "any"
    cycles: float = 1.1
    directed: bool = False


def both(reach: np.ndarray) -> np.ndarray:
    """The same reach for both hands or both feet."""
    return reach[..., None, :]


def hang(lean: np.ndarray | float, length: float = 0.93) -> np.ndarray:
    """Hands that hang down from a leaning chest."""
    return vec(np.sin(lean) * length + 0.05, 0.05, -np.cos(lean) * length)


# ---------------------------------------------------------------------------------------- on foot


def gait(beat: Beat, stride: float, lift: float, arms: float, bent: float, lean: float, way: int = 1) -> Pose:
    """Walking, running and marching; `way` -1 plays it backwards in time."""
    pose = beat.stance()
    stride *= beat.size
    for side in range(2):
        angle = 2 * np.pi * (way * beat.phase + side / 2)
        raised = np.maximum(0.0, -np.sin(angle))
        pose.feet[:, side] = vec(stride * np.cos(angle) + 0.3 * lift * raised, 0.05, -0.97 + lift * raised)
        swing = -arms * np.cos(angle)
        pose.hands[:, side] = vec(0.1 + 0.45 * bent + swing, 0.1, -0.9 + 0.5 * bent + 0.25 * np.abs(swing))
    pose.root[:, 0] = 4 * stride * 0.47 * way * beat.phase
    pose.lean = lean
    pose.twist = 0.25 * arms * np.cos(2 * np.pi * way * beat.phase)
    return pose


def high_knees(beat: Beat) -> Pose:
    pose = gait(beat, 0.05, 0.62, 0.45, 1.0, 0.0)
    pose.root[:, 0] = 0
    return pose


def shuffle(beat: Beat, way: int) -> Pose:
    """Side steps, facing the camera; `way` +1 goes to the figure's left, the image's right."""
    pose = beat.stance()
    step = bump(beat.phase)
    for side in range(2):
        pose.feet[:, side] = vec(0.02, 0.08 + 0.3 * step * beat.size, -0.95 + 0.06 * np.abs(wave(beat.phase)))
        pose.hands[:, side] = vec(0.45, 0.3 + 0.25 * step, -0.35)
    pose.root[:, 1] = way * 0.42 * beat.size * (beat.phase - 0.08 * wave(beat.phase))
    pose.lean = 0.15
    return pose


def lunge(beat: Beat, way: int) -> Pose:
    """One wide step to the side, facing the camera; `way` +1 goes to the figure's left."""
    pose = beat.stance()
    aside = ease(beat.progress, 0.05, 0.9)
    first, last = (1, 0) if way > 0 else (0, 1)
    pose.feet[:, first] = vec(0.05, 0.1 + 0.62 * aside * beat.size, -0.95 + 0.3 * aside)
    pose.feet[:, last] = vec(0.0, 0.1 + 0.45 * aside, -0.95 + 0.05 * aside)
    pose.hands[:] = both(vec(0.3, 0.25 + 0.3 * aside, -0.55 + 0.3 * aside))
    pose.root[:, 1] = way * 0.5 * aside * beat.size
    pose.tilt = -0.15 * way * aside
    return pose


def jump(beat: Beat) -> Pose:
    pose = beat.stance()
    crouch = bump(beat.phase) ** 1.5
    air = np.maximum(0.0, np.cos(2 * np.pi * beat.phase))
    pose.feet[:] = both(vec(0.05 * crouch, 0.1, -0.98 + 0.38 * crouch * beat.size))
    pose.hands[:] = both(vec(0.5 - 0.9 * crouch, 0.15, 0.75 - 1.4 * crouch))
    pose.lean = 0.5 * crouch
    pose.root[:, 2] = 0.24 * beat.size * air
    return pose


def jumping_jack(beat: Beat) -> Pose:
    pose = beat.stance()
    spread = bump(beat.phase)
    angle = -1.35 + 2.6 * spread * min(beat.size, 1.1)
    pose.feet[:] = both(vec(0.0, 0.05 + 0.38 * spread * beat.size, -0.95))
    pose.hands[:] = both(0.96 * vec(0.1, np.cos(angle), np.sin(angle)))
    pose.root[:, 2] = 0.06 * np.abs(wave(beat.phase))
    return pose


def kick(beat: Beat) -> Pose:
    pose = beat.stance()
    swing = -0.5 + (1.75 + 0.3 * (beat.size - 1)) * bump(beat.phase) ** 1.3
    pose.feet[:, 0] = 0.97 * vec(np.sin(swing), 0.05, -np.cos(swing))
    pose.hands[:, 0] = vec(-0.3 * np.sin(swing), 0.5, -0.5)
    pose.hands[:, 1] = vec(0.5 * np.sin(swing), 0.5, -0.3)
    pose.lean = -0.25 * np.maximum(swing, 0)
    return pose


def kneel(beat: Beat, way: int) -> Pose:
    """Down on one knee for `way` +1, up again for -1."""
    pose = beat.stance()
    down = ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.feet[:, 0] = vec(0.5 * down, 0.08, -0.97 + 0.4 * down)
    pose.feet[:, 1] = vec(-0.5 * down, 0.05, -0.97 + 0.45 * down)
    pose.hands[:] = both(vec(0.1 + 0.35 * down, 0.1, -0.9 + 0.25 * down))
    pose.lean = 0.5 * bump(down)
    return pose


def spin(beat: Beat) -> Pose:
    pose = beat.stance()
    pose.facing = 2 * np.pi * beat.phase
    pose.hands[:] = both(vec(0.25, 0.85 * beat.size, 0.15))
    pose.feet[:, 0] = vec(0.15, 0.1, -0.75)
    return pose


def fall(beat: Beat) -> Pose:
    """Forward to the ground."""
    pose = beat.stance()
    down = ease(beat.progress) ** 1.3
    pose.pitch = 1.5 * down
    pose.feet[:] = both(vec(-0.05, 0.12, -0.96 + 0.3 * bump(np.minimum(down, 1))))
    pose.hands[:] = both(vec(0.2 + 0.35 * down, 0.3 + 0.25 * down, -0.8 + 1.2 * down))
    pose.nod = -0.3 * down
    pose.root[:, 0] = 0.35 * down
    return pose


def cartwheel(beat: Beat) -> Pose:
    pose = beat.stance()
    pose.roll = 2 * np.pi * beat.phase
    pose.feet[:] = both(vec(0.0, 0.38 * beat.size, -0.9))
    pose.hands[:] = both(vec(0.0, 0.35, 0.9))
    pose.root[:, 1] = -1.3 * beat.phase
    return pose


def push_up(beat: Beat) -> Pose:
    pose = beat.stance()
    down = bump(beat.phase) * beat.size
    pose.pitch = 1.14 + 0.26 * down
    pose.feet[:] = both(vec(0.0, 0.05, -0.98))
    pose.hands[:] = both(vec(0.97 - 0.55 * down, 0.2 + 0.3 * down, -0.15))
    pose.nod = -0.4
    return pose


# -------------------------------------------------------------------------------------- bare hands


def bow(beat: Beat) -> Pose:
    pose = beat.stance()
    lean = 1.25 * bump(beat.phase) * beat.size
    pose.lean = lean
    pose.hands[:] = both(hang(0.6 * lean))
    pose.nod = 0.3 * lean
    return pose


def box_air(beat: Beat) -> Pose:
    pose = beat.stance()
    for side in range(2):
        punch = bump(beat.phase + side / 2) ** 2
        pose.hands[:, side] = vec(0.3 + 0.68 * punch * beat.size, -0.05, -0.05 + 0.1 * punch)
    pose.twist = -0.45 * np.cos(2 * np.pi * (beat.phase + 0.5))
    pose.feet[:, 0], pose.feet[:, 1] = vec(-0.25, 0.1, -0.92), vec(0.25, 0.1, -0.92)
    return pose


def clap(beat: Beat) -> Pose:
    pose = beat.stance()
    apart = bump(1.6 * beat.phase)
    height = beat.rng.uniform(-0.25, 0.25)
    pose.hands[:] = both(vec(0.62 - 0.1 * apart, -0.27 + 0.75 * apart * beat.size, height))
    return pose


def wave_hand(beat: Beat) -> Pose:
    pose = beat.stance()
    pose.hands[:, 0] = vec(0.15, 0.5 + 0.33 * beat.size * wave(1.4 * beat.phase), 0.72)
    pose.tilt = -0.05
    return pose


def arm_circles(beat: Beat) -> Pose:
    pose = beat.stance()
    angle = 2 * np.pi * beat.phase
    pose.hands[:] = both(0.95 * vec(0.75 * np.sin(angle), 0.35 + 0.2 * np.abs(np.cos(angle)), np.cos(angle)))
    return pose


# ------------------------------------------------------------------------------------------- balls


def throw_ball(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    arm = -1.9 + 3.2 * ease(beat.progress, 0.1, 0.65)
    pose.hands[:, 0] = 0.9 * vec(np.sin(arm), 0.25, np.cos(arm) + 0.1)
    pose.hands[:, 1] = vec(0.6 - 0.6 * ease(beat.progress, 0.1, 0.65), 0.25, 0.0)
    pose.twist = -0.6 + 1.1 * ease(beat.progress, 0.1, 0.65)
    pose.feet[:, 0], pose.feet[:, 1] = vec(-0.3, 0.1, -0.92), vec(0.3, 0.1, -0.92)
    return pose, lambda body: _flight(beat, body.grip(), beat.progress - 0.42)


def catch_ball(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    reach = ease(beat.progress, 0.0, 0.5) - 0.75 * ease(beat.progress, 0.55, 0.9)
    pose.hands[:] = both(vec(0.3 + 0.65 * reach, -0.12, -0.3 + 0.4 * reach))
    pose.lean = 0.15 * reach
    return pose, lambda body: _flight(beat, body.hands.mean(1) + vec(0.05, 0.0, 0.0), 0.55 - beat.progress)


def _flight(beat: Beat, hand: np.ndarray, time: np.ndarray) -> list[Shape]:
    """A ball in the hand before time 0 and on its way forward after it."""
    time = np.maximum(time, 0.0)
    path = vec(2.0 * time, 0.0, 0.35 * time - 0.9 * time**2)
    held = hand[np.argmin(np.where(time > 0, np.inf, -np.arange(len(time))))] if (time > 0).any() else hand
    return props.ball(np.where(time[:, None] > 0, held + path, hand), 0.065, beat.colour)


def dribble(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    height = np.abs(np.cos(np.pi * beat.phase * 1.5))
    pose.hands[:, 0] = vec(0.55, 0.15, -0.75 + 0.4 * height)
    pose.lean = 0.25
    pose.feet[:] = both(vec(0.08, 0.14, -0.88))

    def bouncing(body: Body) -> list[Shape]:
        x, y, z = body.grip().T
        return props.ball(vec(x + 0.02, y, 0.08 + (z - 0.15) * height), 0.085, beat.colour)

    return pose, bouncing


def juggle(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    for side in range(2):
        angle = 2 * np.pi * (beat.phase + side / 2)
        pose.hands[:, side] = vec(0.55, -0.05 + 0.15 * np.cos(angle), -0.45 + 0.15 * np.sin(angle))

    def balls(body: Body) -> list[Shape]:
        right, left = body.hands.mean(0)
        shapes = []
        for i in range(3):
            time = (beat.phase * 0.8 + i / 3) % 1
            over = np.where(time < 0.5, 2 * time, 2 - 2 * time)[:, None]
            rise = 0.5 * beat.size * 4 * ((2 * time) % 1) * (1 - (2 * time) % 1)
            centre = right + (left - right) * over + vec(0.03, 0.0, 0.05 + rise)
            shapes += props.ball(centre, 0.05, beat.colour)
        return shapes

    return pose, balls


# ------------------------------------------------------------------------------------------- tools


def swing_bat(beat: Beat) -> tuple[Pose, Props]:
    """Flat, from behind the right shoulder across the front."""
    pose = beat.stance()
    angle = -1.7 + 3.3 * beat.size * ease(beat.progress, 0.15, 0.85)
    pose.twist = 0.55 * angle
    pose.hands[:, 0], pose.hands[:, 1] = vec(0.62, -0.25, -0.05), vec(0.62, -0.25, -0.1)
    pose.feet[:] = both(vec(0.0, 0.24, -0.9))
    direction = vec(np.cos(0.6 * angle), np.sin(0.6 * angle), 0.25 - 0.3 * ease(beat.progress, 0.0, 0.5))
    return pose, lambda body: props.bat(body.hands.mean(1), body.along(direction), props.WOOD)


def swing_racket(beat: Beat) -> tuple[Pose, Props]:
    """One-handed, low behind to high across."""
    pose = beat.stance()
    angle = -1.5 + 2.9 * beat.size * ease(beat.progress, 0.15, 0.85)
    pose.twist = 0.4 * angle
    forward, left = np.cos(0.7 * angle), np.sin(0.7 * angle)
    pose.hands[:, 0] = 0.9 * vec(forward, -0.7 * left, -0.35 + 0.45 * ease(beat.progress))
    pose.hands[:, 1] = vec(0.4, 0.4, -0.3)
    pose.feet[:] = both(vec(0.0, 0.22, -0.9))
    direction = vec(forward, left, 0.15)
    return pose, lambda body: props.racket(body.grip(), body.along(direction), beat.colour)


def swing_club(beat: Beat) -> tuple[Pose, Props]:
    """A golf swing in the plane before the body, from high on the right down and up to the left."""
    pose = beat.stance()
    angle = -2.3 + 4.4 * beat.size * ease(beat.progress, 0.1, 0.9)
    hands = vec(0.5, 0.85 * np.sin(0.6 * angle), 0.1 - 0.85 * np.cos(0.6 * angle))
    pose.hands[:, 0], pose.hands[:, 1] = hands * (1, -1, 1) - vec(0, 0.25, 0), hands - vec(0, 0.25, 0)
    pose.lean, pose.twist = 0.4, 0.2 * angle
    pose.feet[:] = both(vec(0.05, 0.2, -0.92))
    direction, head = vec(0.25, np.sin(angle), -np.cos(angle)), vec(0.0, np.cos(angle), np.sin(angle))
    return pose, lambda body: props.club(body.hands.mean(1), direction, head)


def hammer(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    angle = -0.2 + 1.9 * bump(beat.phase) ** 1.5 * beat.size
    pose.hands[:, 0] = 0.8 * vec(np.cos(angle - 0.75), 0.0, np.sin(angle - 0.75))
    pose.hands[:, 1] = vec(0.6, 0.0, -0.6)
    pose.lean = 0.4 - 0.15 * bump(beat.phase)
    pose.feet[:] = both(vec(-0.05, 0.15, -0.85))
    handle = vec(np.cos(angle), 0.0, np.sin(angle))
    across = vec(np.sin(angle), 0.0, -np.cos(angle))
    return pose, lambda body: [
        *props.hammer(body.grip(), body.along(handle), body.along(across)),
        *props.anvil(0.5),
    ]


def umbrella(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Opened for `way` +1, closed for -1."""
    pose = beat.stance()
    opening = ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.hands[:, 0] = vec(0.55, -0.1, 0.0 + 0.15 * opening)
    pose.hands[:, 1] = vec(0.62, -0.3, 0.3 + 0.35 * opening)
    shaft = vec(np.cos(1.0), 0.1, np.sin(1.0))
    return pose, lambda body: props.umbrella(body.grip(), body.along(shaft), opening, beat.colour)


def wave_flag(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    angle = 0.75 * beat.size * wave(beat.phase)
    for side in range(2):
        outward = -0.25 + (2 * side - 1) * 0.35 * np.sin(angle)
        pose.hands[:, side] = vec(0.55, outward, 0.15 - 0.4 * side)
    pose.tilt = -0.15 * np.sin(angle)
    speed = np.gradient(angle)
    trail = vec(0.25, -np.tanh(12 * speed), 0.0)
    pole = vec(0.15, np.sin(angle), np.cos(angle))
    return pose, lambda body: props.flag(body.grip(), pole, trail, 2 * beat.phase, beat.colour)


def skip_rope(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    pose.hands[:] = both(vec(0.2, 0.45, -0.5))
    pose.root[:, 2] = 0.1 * beat.size * bump(beat.phase + 0.5)
    pose.feet[:] = both(vec(0.0, 0.04, -0.97 + 0.12 * bump(beat.phase)))
    belly = apply(turn("y", 2 * np.pi * beat.phase), -props.UP)
    return pose, lambda body: props.rope(body.grip(0), body.grip(1), belly, beat.colour)


def hula_hoop(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    angle = 2 * np.pi * beat.phase
    sway = 0.07 * beat.size * vec(np.cos(angle), np.sin(angle), 0.0)
    pose.root += sway
    for side in range(2):
        pose.feet[:, side] = vec(0.0, 0.16, -0.96) - 2 * sway * (1, 2 * side - 1, 0)
        pose.hands[:, side] = vec(0.1, 0.55, 0.4)
    pose.tilt, pose.lean = 1.2 * sway[:, 1], -1.2 * sway[:, 0]
    tilt = turn("z", angle) @ turn("y", np.full_like(angle, 0.22)) @ turn("z", -angle)
    return pose, lambda body: props.hoop(body.root - 1.5 * sway + vec(0, 0, 0.06), tilt, 0.3, beat.colour)


# ------------------------------------------------------------------------------ loads and furniture


def deadlift(beat: Beat) -> tuple[Pose, Props]:
    pose = beat.stance()
    down = bump(beat.phase) * beat.size
    pose.feet[:] = both(vec(0.1 * down, 0.14, -0.98 + 0.32 * down))
    pose.lean = 0.95 * down
    pose.hands[:] = both(hang(pose.lean) + vec(0.05, 0.1, 0.0))
    return pose, lambda body: props.barbell(body.grip(1), body.grip(0), beat.colour)


def move_box(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Lifted from the ground to the chest for `way` +1, put down for -1."""
    pose = beat.stance()
    down = 1 - ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.feet[:] = both(vec(0.15 * down, 0.16, -0.97 + 0.42 * down))
    pose.lean = 1.0 * down
    low, high = hang(pose.lean, 0.85) + vec(0.25, 0, 0.0), vec(0.6, 0.0, 0.0)
    pose.hands[:] = both(down[:, None] * low + (1 - down[:, None]) * high)
    size = beat.rng.uniform(0.22, 0.28)
    return pose, lambda body: props.box(body.hands.mean(1) + vec(0.06, 0, 0.02), size, (172, 128, 82))


def cart(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Pushed for `way` +1; pulled backwards for -1, the same in every frame."""
    pose = gait(beat, 0.36, 0.22, 0.0, 0.0, 0.2, way)
    pose.hands[:] = both(vec(0.75, 0.02, -0.5))
    pose.twist = 0.0
    return pose, lambda body: props.cart(body.hands.mean(1), beat.colour)


def sit(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Down for `way` +1, up for -1."""
    pose = beat.stance()
    down = ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.feet[:] = both(vec(0.56 * down, 0.12, -0.97 + 0.38 * down))
    pose.root[:, 0] = -0.27 * down
    pose.lean = 0.75 * bump(0.5 * down) * (1 - down) * 2 + 0.05
    pose.hands[:] = both(vec(0.2 + 0.4 * down, 0.02, -0.85 + 0.25 * down))
    return pose, lambda body: props.chair(-0.3, beat.colour)


def climb(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Up a ladder for `way` +1, down for -1."""
    pose = beat.stance()
    phase = way * beat.phase
    pose.grounded = False
    pose.root[:, 2] = 0.8 + 0.4 * phase
    for side in range(2):
        step = ((phase + side / 2) % 1)[..., None]
        held = ease(step[:, 0], 0.7, 1.0)
        drop = 0.4 * (step[:, 0] - held)
        pose.hands[:, side] = vec(0.62 - 0.15 * bump(held), -0.05, 0.65 - drop / 0.4)
        pose.feet[:, side] = vec(0.3 - 0.1 * bump(held), 0.08, -0.5 - drop / 0.47)
    return pose, lambda body: props.ladder(0.27, beat.colour)


def door(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Pulled open for `way` +1, pushed shut for -1."""
    pose = beat.stance()
    angle = 0.08 + 1.25 * ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.root[:, 0] = -0.12 * angle
    pose.feet[:, 0], pose.feet[:, 1] = vec(0.1 * angle, 0.1, -0.95), vec(-0.1 * angle, 0.1, -0.95)
    hinge = vec(0.38, -0.42, 0.0)
    knob = hinge + apply(turn("z", angle), vec(0.0, 0.44, 0.0))
    shoulder = vec(-0.12 * angle, -0.11, 0.75)
    pose.hands[:, 0] = (knob + vec(0, 0, 0.53) - shoulder) / 0.4 * (1, -1, 1)
    return pose, lambda body: props.door(hinge, angle, beat.colour, (196, 190, 180))


def curtain(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Drawn apart for `way` +1, together for -1."""
    pose = beat.stance()
    apart = ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.hands[:] = both(vec(0.65, -0.2 + 0.85 * apart * beat.size, 0.3))
    pose.lean = 0.05
    return pose, lambda body: [
        shape for side in range(2) for shape in props.curtain(body.grip(side), 2 * side - 1, beat.colour)
    ]


def stairs(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Up stairs for `way` +1, down for -1, forwards either way."""
    pose = gait(beat, 0.26, 0.4 if way > 0 else 0.25, 0.25, 0.2, 0.12)
    pose.root[:, 2] = 0.55 * way * (pose.root[:, 0] - pose.root[:, 0].mean())
    return pose, lambda body: props.stairs(pose.root[:, 0].mean(), way, beat.colour)


def drawer(beat: Beat, way: int) -> tuple[Pose, Props]:
    """Pulled open for `way` +1, pushed shut for -1."""
    pose = beat.stance()
    pulled = 0.3 * beat.size * ease(beat.progress if way > 0 else 1 - beat.progress)
    pose.hands[:] = both(vec(0.95 - 1.6 * pulled, -0.05, -0.35))
    pose.lean = 0.3 - 0.5 * pulled
    return pose, lambda body: props.drawer(body.hands.mean(1), pulled, beat.colour)


walk = partial(gait, stride=0.42, lift=0.25, arms=0.45, bent=0.1, lean=0.05)
run = partial(gait, stride=0.62, lift=0.5, arms=0.6, bent=0.8, lean=0.3)

KINETICS = {
    "bowing": Action(bow),
    "boxing": Action(box_air, "side", 1.3),
    "catching ball": Action(catch_ball, "side"),
    "clapping": Action(clap),
    "closing curtain": Action(partial(curtain, way=-1), "back"),
    "closing drawer": Action(partial(drawer, way=-1), "side"),
    "closing umbrella": Action(partial(umbrella, way=-1)),
    "deadlifting": Action(deadlift),
    "dribbling ball": Action(dribble),
    "getting up": Action(partial(kneel, way=-1), "side"),
    "going downstairs": Action(partial(stairs, way=-1), "side"),
    "going upstairs": Action(partial(stairs, way=1), "side"),
    "hula hooping": Action(hula_hoop),
    "jumping jacks": Action(jumping_jack, "front"),
    "jumping up": Action(jump),
    "kicking": Action(kick, "side"),
    "kneeling down": Action(partial(kneel, way=1), "side"),
    "lunging left": Action(partial(lunge, way=1), "front", directed=True),
    "lunging right": Action(partial(lunge, way=-1), "front", directed=True),
    "moonwalking": Action(partial(walk, way=-1), "side"),
    "opening curtain": Action(partial(curtain, way=1), "back"),
    "opening drawer": Action(partial(drawer, way=1), "side"),
    "opening umbrella": Action(partial(umbrella, way=1)),
    "pulling cart": Action(partial(cart, way=-1), "side"),
    "pushing cart": Action(partial(cart, way=1), "side"),
    "running": Action(run, "side", 1.4),
    "skipping rope": Action(skip_rope, cycles=1.3),
    "spinning": Action(spin),
    "swinging bat": Action(swing_bat),
    "throwing ball": Action(throw_ball, "side"),
    "walking": Action(walk, "side"),
    "waving hand": Action(wave_hand, "front", 1.3),
}

UCF101 = {
    "ArmCircles": Action(arm_circles),
    "GolfSwing": Action(swing_club, "front"),
    "HighKnees": Action(high_knees, cycles=1.3),
    "JugglingBalls": Action(juggle, "front", 1.2),
    "LiftBox": Action(partial(move_box, way=1), "side"),
    "LowerBox": Action(partial(move_box, way=-1), "side"),
    "PushUps": Action(push_up, "side"),
    "ShuffleLeft": Action(partial(shuffle, way=-1), "front", directed=True),
    "ShuffleRight": Action(partial(shuffle, way=1), "front", directed=True),
    "TennisSwing": Action(swing_racket, "any"),
}

HMDB51 = {
    "cartwheel": Action(cartwheel, "front", 0.9),
    "climb_down": Action(partial(climb, way=-1), "back"),
    "climb_up": Action(partial(climb, way=1), "back"),
    "close_door": Action(partial(door, way=-1), "back"),
    "fall_floor": Action(fall, "side"),
    "flag_wave": Action(wave_flag, "front"),
    "hammer": Action(hammer, "side", 1.3),
    "open_door": Action(partial(door, way=1), "back"),
    "sit": Action(partial(sit, way=1), "side"),
    "stand": Action(partial(sit, way=-1), "side"),
}
