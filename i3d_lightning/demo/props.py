"""Things that figures hold, throw and open: each is a few shapes placed by points `t 3`."""

from __future__ import annotations

import numpy as np

from .geometry import Colour, Shape, apply, line, vec

WOOD: Colour = (150, 104, 62)
STEEL: Colour = (70, 74, 82)
UP = vec(0.0, 0.0, 1.0)


def ball(centre: np.ndarray, radius: float, colour: Colour) -> list[Shape]:
    return [line([centre], radius, colour, nearer=0.03)]


def stick(
    start: np.ndarray, direction: np.ndarray, length: float, radius: float, colour: Colour
) -> list[Shape]:
    """A rod that begins at `start`."""
    return [line([start, start + length * direction], radius, colour, nearer=0.03)]


def bat(grip: np.ndarray, direction: np.ndarray, colour: Colour) -> list[Shape]:
    """A baseball bat: thick at its end."""
    rod = stick(grip, direction, 0.46, 0.016, colour)
    return [*rod, line([grip + 0.24 * direction, grip + 0.46 * direction], 0.03, colour, nearer=0.03)]


def club(grip: np.ndarray, direction: np.ndarray, head: np.ndarray) -> list[Shape]:
    """A golf club, whose head points to where it strikes."""
    end = grip + 0.52 * direction
    sole = line([end, end + 0.08 * head], 0.026, STEEL, nearer=0.03)
    return [*stick(grip, direction, 0.52, 0.013, STEEL), sole]


def racket(grip: np.ndarray, direction: np.ndarray, colour: Colour) -> list[Shape]:
    """A tennis racket, its strings upright."""
    centre = grip + 0.32 * direction
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rim = [centre + 0.13 * np.cos(a) * direction + 0.1 * np.sin(a) * UP for a in angles]
    return [*stick(grip, direction, 0.2, 0.016, colour), line(rim, 0.014, colour, closed=True, nearer=0.03)]


def hammer(grip: np.ndarray, direction: np.ndarray, across: np.ndarray) -> list[Shape]:
    end = grip + 0.26 * direction
    head = line([end - 0.07 * across, end + 0.09 * across], 0.035, STEEL, nearer=0.04)
    return [*stick(grip, direction, 0.26, 0.016, WOOD), head]


def barbell(left: np.ndarray, right: np.ndarray, colour: Colour) -> list[Shape]:
    """A bar through both hands with a disc at each end."""
    along = (left - right) / np.linalg.norm(left - right, axis=-1, keepdims=True)
    middle = (left + right) / 2
    ends = [middle - 0.36 * along, middle + 0.36 * along]
    return [
        line([middle - 0.44 * along, middle + 0.44 * along], 0.014, STEEL, nearer=0.03),
        *(_disc(end, along, 0.11, colour) for end in ends),
    ]


def _disc(centre: np.ndarray, axis: np.ndarray, radius: float, colour: Colour) -> Shape:
    side = np.cross(axis, UP)
    up = np.cross(side, axis)
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    rim = [centre + radius * (np.cos(a) * side + np.sin(a) * up) for a in angles]
    return line(rim, 0.018, colour, solid=True)


def umbrella(grip: np.ndarray, shaft: np.ndarray, opening: np.ndarray, colour: Colour) -> list[Shape]:
    """An umbrella along `shaft` from the hand; `opening` 0 is furled, 1 spread."""
    side = np.cross(shaft, vec(0.31, 0.17, 0.93))
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    other = np.cross(shaft, side)
    top = grip + 0.56 * shaft
    radius = (0.03 + 0.37 * opening)[:, None]
    rim = top - (0.36 - 0.2 * opening)[:, None] * shaft
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ribs = [radius * (np.cos(a) * side + np.sin(a) * other) for a in angles]
    edge = [rim + rib for rib in ribs]
    shoulder = [top - 0.05 * shaft + 0.55 * rib for rib in ribs[::2]]
    return [
        *stick(grip - 0.06 * shaft, shaft, 0.66, 0.013, STEEL),
        line([top, *shoulder, *edge], 0.01, colour, solid=True, nearer=0.02),
    ]


def rope(right: np.ndarray, left: np.ndarray, belly: np.ndarray, colour: Colour) -> list[Shape]:
    """A rope from hand to hand that bulges in the direction `belly`."""
    arc = [(a, 0.55 * np.sin(np.pi * a) ** 0.6) for a in np.linspace(0, 1, 13)]
    points = [(1 - a) * right + a * left + depth * belly for a, depth in arc]
    return [line(points, 0.014, colour)]


def hoop(centre: np.ndarray, tilt: np.ndarray, radius: float, colour: Colour) -> list[Shape]:
    """A ring around the body, in two halves so that the nearer one passes before it."""
    angles = np.linspace(0, 2 * np.pi, 25)
    rim = [centre + apply(tilt, radius * vec(np.cos(a), np.sin(a), 0.0)) for a in angles]
    return [line(rim[i : i + 7], 0.018, colour) for i in range(0, 24, 6)]


def box(centre: np.ndarray, size: float, colour: Colour) -> list[Shape]:
    """A cardboard box with a strip of tape around its front and top."""
    h = size / 2
    corners = [centre + vec(x * h, y * h, z * h) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    tape = [centre + vec(x, y, z) * h for x, y, z in ((1, 0, -1), (1, 0, 1), (-1, 0, 1), (-1, 0, -1))]
    light = (min(255, colour[0] + 55), min(255, colour[1] + 55), min(255, colour[2] + 45))
    return [line(corners, 0.006, colour, solid=True), line(tape, 0.014, light, nearer=0.01)]


def cart(handle: np.ndarray, colour: Colour) -> list[Shape]:
    """A shopping cart before the hands that push or pull it; its wheels stand on the ground."""
    x, z = handle[:, 0], handle[:, 2]
    across = [-0.13, 0.13]
    outline = ((0.08, 0.26), (0.44, 0.30), (0.50, 0.50), (0.04, 0.46))
    tub = [vec(x + dx, dy, dz) for dx, dz in outline for dy in across]
    feet = [(x + dx, dy) for dx in (0.12, 0.42) for dy in across]
    wheels = [line([vec(fx, fy, 0.04)], 0.04, STEEL) for fx, fy in feet]
    legs = [line([vec(fx, fy, 0.06), vec(fx, fy, 0.3)], 0.012, STEEL) for fx, fy in feet]
    bars = [line([vec(x, dy, z), vec(x + 0.06, dy, 0.44)], 0.016, STEEL) for dy in across]
    return [*wheels, *legs, *bars, line(tub, 0.012, colour, solid=True)]


def ladder(x: float, colour: Colour) -> list[Shape]:
    """A ladder at distance `x` before the figure, taller than any frame."""
    rails = [((y, -1.0), (y, 3.0), 0.018) for y in (-0.17, 0.17)]
    rungs = [((-0.17, z), (0.17, z), 0.014) for z in np.arange(-0.9, 3.0, 0.2)]
    return [line([vec(x, *a), vec(x, *b)], r, colour, nearer=-0.03) for a, b, r in (*rails, *rungs)]


def door(hinge: np.ndarray, angle: np.ndarray, colour: Colour, frame: Colour) -> list[Shape]:
    """A door in its frame: shut along +y from the hinge at angle 0, swung towards -x as it opens."""
    width, height = 0.5, 1.12
    swing = vec(-np.sin(angle), np.cos(angle), 0.0)
    jamb = hinge + vec(0.0, width, 0.0)
    top = height * UP
    leaf = [hinge, hinge + width * swing, hinge + width * swing + top, hinge + top]
    panel = [hinge + a * width * swing + b * top for a in (0.2, 0.8) for b in (0.55, 0.9)]
    knob = hinge + 0.88 * width * swing + 0.47 * top
    light = (min(255, colour[0] + 25), min(255, colour[1] + 25), min(255, colour[2] + 25))
    return [
        line([hinge, jamb, jamb + top, hinge + top], 0.0, (52, 50, 54), solid=True, nearer=-0.3),
        line([hinge, hinge + top, jamb + top, jamb], 0.022, frame, nearer=-0.2),
        line(leaf, 0.006, colour, solid=True),
        line(panel, 0.004, light, solid=True, nearer=0.004),
        line([knob], 0.022, (215, 180, 80), nearer=0.02),
    ]


def curtain(hand: np.ndarray, side: float, colour: Colour) -> list[Shape]:
    """Half a curtain, from the hand that draws it to the end of its rail on that side (y of -1 or 1)."""
    x, inner, outer = hand[:, 0].mean() + 0.06, hand[:, 1], 0.62 * side
    cloth = [vec(x, y, z) for y in (inner, outer) for z in (0.12, 1.08)]
    rail = [vec(x, 0.0, 1.1), vec(x, outer, 1.1)]
    folds = [inner + f * (outer - inner) for f in (0.33, 0.66)]
    shade = (0.8 * colour[0], 0.8 * colour[1], 0.8 * colour[2])
    return [
        line(cloth, 0.01, colour, solid=True, nearer=-0.02),
        line(rail, 0.016, WOOD),
        *(line([vec(x, y, 0.14), vec(x, y, 1.06)], 0.008, shade, nearer=-0.01) for y in folds),
    ]


def stairs(x: float, way: int, colour: Colour) -> list[Shape]:
    """A flight of steps that rises with x for `way` 1 and falls for -1, its middle at `x`."""
    shapes = []
    for i in range(-5, 6):
        left, top = x + 0.22 * i - 0.11, 0.121 * way * i
        corners = [vec(u, y, z) for u in (left, left + 0.22) for y in (-0.2, 0.2) for z in (top - 0.9, top)]
        shade = 0.85 + 0.15 * (i % 2)
        tint = (shade * colour[0], shade * colour[1], shade * colour[2])
        shapes.append(line(corners, 0.004, tint, solid=True, nearer=-0.4))
    return shapes


def drawer(hand: np.ndarray, pulled: np.ndarray, colour: Colour) -> list[Shape]:
    """A cabinet whose drawer is out by `pulled`, with its handle in the hand."""
    x, z = hand[:, 0] + 0.03, hand[:, 2]
    face = (x + pulled).mean()
    case = [vec(u, y, v) for u in (face, face + 0.3) for y in (-0.24, 0.24) for v in (0.0, z.mean() + 0.2)]
    panel = [vec(x, y, z + v) for y in (-0.2, 0.2) for v in (-0.1, 0.1)]
    sides = [vec(u, y, z - 0.08) for u in (x, face + 0.05) for y in (-0.18, 0.18)]
    light = (min(255, colour[0] + 40), min(255, colour[1] + 40), min(255, colour[2] + 40))
    return [
        line(case, 0.006, colour, solid=True, nearer=-0.2),
        line(sides, 0.01, WOOD, solid=True, nearer=-0.05),
        line(panel, 0.008, light, solid=True),
        line([hand + vec(0.02, -0.04, 0.0), hand + vec(0.02, 0.04, 0.0)], 0.012, STEEL, nearer=0.02),
    ]


def chair(x: float, colour: Colour) -> list[Shape]:
    """A chair behind the figure, its seat's middle at `x`, its back further behind."""
    seat = [vec(x + dx, dy, 0.27) for dx in (-0.13, 0.13) for dy in (-0.13, 0.13)]
    legs = [line([corner * (1, 1, 0), corner], 0.016, colour) for corner in seat]
    back = [vec(x - 0.15, dy, dz) for dy in (-0.13, 0.13) for dz in (0.27, 0.62)]
    return [*legs, line(seat, 0.014, colour, solid=True), line(back, 0.012, colour, solid=True, nearer=-0.02)]


def flag(
    grip: np.ndarray, pole: np.ndarray, side: np.ndarray, ripple: np.ndarray, colour: Colour
) -> list[Shape]:
    """A flag that trails its pole towards `side` and ripples with the phase `ripple`."""
    top = grip + 0.62 * pole
    low = grip + 0.34 * pole
    cloth: list[np.ndarray] = []
    for u in (0.0, 0.33, 0.66, 1.0):
        lift = (0.05 * u * np.sin(2 * np.pi * (ripple - 0.7 * u)))[:, None] * UP
        cloth += [top + 0.4 * u * side + lift, low + 0.4 * u * side + lift]
    quads = [line(cloth[i : i + 4], 0.006, colour, solid=True) for i in (0, 2, 4)]
    return [*stick(grip - 0.2 * pole, pole, 0.84, 0.014, WOOD), *quads]


def anvil(x: float) -> list[Shape]:
    """A block to hammer on, at distance `x` before the figure."""
    iron = line([vec(x - 0.1, 0.0, 0.36), vec(x + 0.14, 0.0, 0.36)], 0.03, STEEL)
    return [*box(vec(x, 0.0, 0.17), 0.34, (128, 96, 70)), iron]
