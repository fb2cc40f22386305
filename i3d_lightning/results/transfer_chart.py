"""Accuracy against compute, one place a network: the picture of `i3d table transfer`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.optimize import isotonic_regression

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import RANDOM
from i3d_lightning.results.overview import STREAM_TITLES
from i3d_lightning.results.scores import Index, Score, Summary, tests
from i3d_lightning.results.transfer import Row, Target, protocols_of, rows_of

COLOURS = {"origin": "#8c8c8c", "fixed": "#3b7dd8", "full-ft": "#c2571a"}
OTHERS = ("#2f8f5b", "#7b4fa3", "#b59a00")
"""Of protocols that others add."""
MARKERS = "osD^vPh*"
"""Of what weights have seen, in the order of rows; random features are crosses."""
INCHES, MARGIN = 0.11, 0.1
"""What a number takes of a panel's width, and a network besides."""


class _Point(NamedTuple):
    protocol: str
    pretraining: str
    ours: Summary


_Places = dict[tuple[str, float], list[_Point]]
"""The points of each network, by its name and its multiply-adds in billions."""


def transfer_chart(found: Iterable[Score], demo: bool | None = None) -> Figure:
    """Draw top-1 with its 95 % interval over groups against multiply-adds, one panel for each target.

    A network has one place for each clip that it was run on; the protocol is the colour, and what its weights
    had seen the marker. Networks of nearly the same compute stand side by side: names say how much it is, and
    lines lead to where they belong on the axis.

    Args:
        found: All scores.
        demo: Draw the rendered data sets; by default, where nothing else was run.

    Raises:
        InputError: Nothing was run on a target whose compute is known.
    """
    rows = rows_of(Index(tests(found), demo))
    targets = dict.fromkeys(target for row in rows for target in row.results)
    panels_of = {target: places for target in targets if (places := _places(rows, target))}
    if not panels_of:
        raise InputError(
            "There is no run on a target to draw whose multiply-adds are known: run, say, "
            "i3d grid experiments/networks.yaml."
        )
    every = [point for places in panels_of.values() for points in places.values() for point in points]
    protocols = protocols_of(rows)
    seen = list(dict.fromkeys(p.pretraining for p in every))
    markers, colours = _chosen(seen, MARKERS, {RANDOM: "x"}), _chosen(protocols, OTHERS, COLOURS)
    width = max(6.5, *(1.0 + sum(map(_inches, places.values())) for places in panels_of.values()))
    figure = Figure(figsize=(width * len(panels_of), 5.6), layout="constrained")
    panels = figure.subplots(1, len(panels_of), squeeze=False, sharey=True)[0]
    for panel, (target, places) in zip(panels, panels_of.items(), strict=True):
        _draw(panel, places, width - 1.0, markers, colours)
        longest = max(len(_name(*place)) for place in places)
        panel.set_title(str(target), fontsize=11, pad=14 + 4.2 * longest)
        panel.set_xlabel("multiply-adds of a training clip, in billions", fontsize=9)
    panels[0].set_ylabel("top-1 %")
    handles = [
        Line2D([], [], color=colours[p], lw=3, label=p) for p in protocols if p in {e.protocol for e in every}
    ]
    handles += [Line2D([], [], color="#555555", marker=markers[s], ls="", label=f"from {s}") for s in seen]
    columns = min(int(width * len(panels_of) / 1.4), len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _chosen(names: Iterable[str], free: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Give each name that has nothing of its own the next of what is free."""
    return {**dict(zip((n for n in names if n not in known), cycle(free), strict=False)), **known}


def _places(rows: Iterable[Row], target: Target) -> _Places:
    """Collect what is to be drawn of a target, each number once though several rows may show it."""
    found: dict[tuple[str, float], dict[tuple[str, str], _Point]] = defaultdict(dict)
    for row in rows:
        costs = dict(zip(row.clips, row.costs, strict=False))
        name = row.architecture if row.stream == "rgb" else f"{row.architecture}, {STREAM_TITLES[row.stream]}"
        for protocol, result in row.results[target].items():
            ours = result.ours
            clips = ours.first[0].clips if ours else None
            if ours is not None and clips is not None and clips in costs:
                seen = ours.cell.pretraining
                place = found[name, costs[clips].multiply_adds / 1e9]
                place.setdefault((protocol, seen), _Point(protocol, seen, ours))
    return {place: list(points.values()) for place, points in found.items()}


def _name(name: str, compute: float) -> str:
    return f"{name}, {compute:.3g} G"


def _inches(points: Sequence[_Point]) -> float:
    return INCHES * len(points) + MARGIN


def _draw(
    panel: Axes, places: _Places, width: float, markers: Mapping[str, str], colours: Mapping[str, str]
) -> None:
    """Draw a panel of so many inches."""
    ordered = sorted(places, key=lambda place: place[1])
    logs = np.log10([compute for _, compute in ordered])
    decades = max(0.5, np.ptp(logs) + 0.2) / width  # per inch
    centres = _spread(logs, [_inches(places[place]) * decades for place in ordered])
    for place, centre in zip(ordered, centres, strict=True):
        points = places[place]
        for number, (protocol, seen, ours) in enumerate(points):
            x = 10 ** (centre + (number - (len(points) - 1) / 2) * INCHES * decades)
            low, high = ours.interval
            panel.errorbar(
                x, ours.top1, yerr=[[ours.top1 - low], [high - ours.top1]],
                fmt=markers[seen], color=colours[protocol], ms=5.5, capsize=2,
            )  # fmt: skip
        panel.plot((place[1], 10**centre), (0, 4), color="#8c8c8c", lw=0.8)
        panel.text(
            10**centre, 1.02, _name(*place), transform=panel.get_xaxis_transform(),
            rotation=60, ha="left", va="bottom", rotation_mode="anchor", fontsize=9,
        )  # fmt: skip
    panel.set_xscale("log")
    room = 0.3 * decades + _inches(places[ordered[0]]) / 2 * decades
    panel.set_xlim(10 ** (centres[0] - room), 10 ** (centres[-1] + room))
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_ylim(0, 100)
    panel.grid(axis="y", color="#e6e6e6", lw=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _spread(places: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """Move sorted places apart until none covers another, all of them as little as can be (least squares)."""
    before = np.cumsum([0.0, *((a + b) / 2 for a, b in pairwise(widths))])
    return isotonic_regression(places - before).x + before
