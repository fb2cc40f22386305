"""Accuracy against compute, one place a network: the picture of `i3d table transfer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import RANDOM
from i3d_lightning.results.overview import STREAM_TITLES
from i3d_lightning.results.scores import Index, Score, Summary, tests
from i3d_lightning.results.transfer import Row, Target, protocols_of, rows_of

COLOURS = {"origin": "#9a9a9a", "fixed": "#3b7dd8", "full-ft": "#c2571a"}
OTHERS = ("#2f8f5b", "#7b4fa3", "#b59a00")
"""Of protocols that others add."""
MARKERS = "osD^vPh*"
"""Of what weights have seen, in the order of rows; random features are crosses."""
APART = 0.016
"""How far apart points of one network stand, of a panel's width, so that whiskers do not cover each other."""
NAMES_APART = 0.042
"""How far apart names stand at least, of a panel's width."""


class _Point(NamedTuple):
    compute: float
    protocol: str
    pretraining: str
    ours: Summary


def transfer_chart(found: Iterable[Score], demo: bool | None = None) -> Figure:
    """Draw top-1 with its 95 % interval over groups against multiply-adds, one panel for each target.

    A network has one place; what its weights had seen is the marker, the protocol the colour.

    Args:
        found: All scores.
        demo: Draw the rendered data sets; by default, where nothing else was run.

    Raises:
        InputError: Nothing was run on a target whose compute is known.
    """
    rows = rows_of(Index(tests(found), demo))
    protocols = protocols_of(rows)
    targets = list(dict.fromkeys(target for row in rows for target in row.results))
    panels_of = {target: points for target in targets if (points := _points(rows, target))}
    if not panels_of:
        raise InputError(
            "No run on a target is there to draw whose multiply-adds are known: run i3d grid "
            "experiments/networks.yaml, say."
        )
    every = [point for points in panels_of.values() for some in points.values() for point in some]
    seen = list(dict.fromkeys(p.pretraining for p in sorted(every, key=lambda p: len(p.pretraining))))
    markers = _chosen(seen, MARKERS, {RANDOM: "x"})
    colours = _chosen(protocols, OTHERS, COLOURS)
    figure = Figure(figsize=(6.4 * len(panels_of), 5.6), layout="constrained")
    panels = figure.subplots(1, len(panels_of), squeeze=False, sharey=True)[0]
    for panel, (target, points) in zip(panels, panels_of.items(), strict=True):
        _draw(panel, points, markers, colours)
        panel.set_title(str(target), fontsize=10, pad=86)
        panel.set_xlabel("multiply-adds of a training clip, in billions", fontsize=9)
    panels[0].set_ylabel("top-1 %")
    drawn = [p for p in protocols if any(point.protocol == p for point in every)]
    handles = [Line2D([], [], color=colours[p], lw=3, label=p) for p in drawn]
    handles += [Line2D([], [], color="#555555", marker=markers[s], ls="", label=s) for s in seen]
    columns = min(6, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _chosen(names: Iterable[str], free: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Give each name that has nothing of its own the next of what is free."""
    return {**dict(zip((n for n in names if n not in known), cycle(free), strict=False)), **known}


def _points(rows: Iterable[Row], target: Target) -> dict[str, list[_Point]]:
    """What is to be drawn of a target, by the name of each network: each number once."""
    found: dict[str, dict[tuple[str, str], _Point]] = {}
    for row in rows:
        by_clips = dict(zip(row.clips, row.costs, strict=False))
        name = row.architecture if row.stream == "rgb" else f"{row.architecture}, {STREAM_TITLES[row.stream]}"
        for protocol, result in row.results[target].items():
            if result.ours is None or (cost := by_clips.get(result.ours.first[0].clips)) is None:
                continue
            seen = result.ours.cell.pretraining
            point = _Point(cost.multiply_adds / 1e9, protocol, seen, result.ours)
            found.setdefault(name, {}).setdefault((protocol, seen), point)
    return {name: list(points.values()) for name, points in found.items()}


def _draw(
    panel: Axes,
    by_name: Mapping[str, Sequence[_Point]],
    markers: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    every = [point.compute for points in by_name.values() for point in points]
    low, high = np.log10(min(every)) - 0.25, np.log10(max(every)) + 0.25
    panel.set_xscale("log")
    panel.set_xlim(10**low, 10**high)
    panel.set_ylim(0, 100)
    centres = {}
    for name, points in by_name.items():
        centres[name] = float(np.mean([(np.log10(p.compute) - low) / (high - low) for p in points]))
        for number, point in enumerate(points):
            shift = (number - (len(points) - 1) / 2) * APART * (high - low)
            ends = point.ours.interval
            panel.errorbar(
                point.compute * 10**shift, point.ours.top1,
                yerr=[[point.ours.top1 - ends[0]], [ends[1] - point.ours.top1]],
                fmt=markers[point.pretraining], color=colours[point.protocol], ms=6, capsize=2,
            )  # fmt: skip
    names = sorted(centres, key=lambda name: centres[name])
    for name, place in zip(names, _spread([centres[name] for name in names]), strict=True):
        tops = [p.ours.interval[1] / 100 for p in by_name[name]]
        panel.annotate(
            name, (centres[name], max(tops)), (place, 1.03), "axes fraction", "axes fraction",
            rotation=60, ha="left", va="bottom", fontsize=9, rotation_mode="anchor", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "lw": 0.7, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip
    panel.grid(axis="y", color="#e6e6e6", lw=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _spread(places: Sequence[float]) -> list[float]:
    """Move sorted places apart until all are `NAMES_APART` from each other, each as little as it need be."""
    groups: list[tuple[float, int]] = []  # mean place and number of those that stand side by side
    for place in places:
        groups.append((place, 1))
        while len(groups) > 1:
            (before, n), (after, m) = groups[-2:]
            if after - before >= NAMES_APART * (n + m) / 2:
                break
            groups[-2:] = [((before * n + after * m) / (n + m), n + m)]
    return [mean + (k - (n - 1) / 2) * NAMES_APART for mean, n in groups for k in range(n)]
