"""Pictures of results, drawn from stored predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.results.overview import COLUMNS, STREAM_TITLES
from i3d_lightning.results.scores import Index, Score, Summary, is_target, tests

COLOURS = {
    "none": "#9a9a9a",
    "imagenet": "#e0a030",
    "kinetics": "#3b7dd8",
    "imagenet+kinetics": "#1f4e96",
}
BARS = {
    "end to end": (
        ("none", "origin"),
        ("imagenet", "origin"),
        ("kinetics", "full-ft"),
        ("imagenet+kinetics", "full-ft"),
    ),
    "frozen": (("imagenet", "fixed"), ("kinetics", "fixed"), ("imagenet+kinetics", "fixed")),
}
"""Pretraining and protocol of each bar: what is trained end to end, and what only has a new last layer.

From ImageNet that is the control: the network of images itself, RGB alone.
"""


def pretraining_chart(found: Iterable[Score], architecture: str = "i3d") -> Figure:
    """Draw ImageNet against Kinetics pretraining: bars of top-1 with 95 % intervals over groups.

    One row of panels for each stream and one column for each target; a bar that was not run is left out.

    Args:
        found: All scores.
        architecture: Whose bars; the control's go with those of any.

    Raises:
        InputError: Nothing of it was run on a target.
    """
    run = [s for s in Index(tests(found)) if is_target(s.cell.dataset) and s.splits == (1,)]
    bars = [summary for summary in run if summary.cell.architecture == architecture]
    panels_of = {(bar.cell.dataset, bar.cell.stream) for bar in bars}
    bars += [s for s in run if s.first[0].control and (s.cell.dataset, s.cell.stream) in panels_of]
    if not bars:
        raise InputError(
            f"No run of {architecture} on a target, split 1, is there to draw: run make compare."
        )
    datasets = sorted({bar.cell.dataset for bar in bars})
    streams = sorted({bar.cell.stream for bar in bars}, key=COLUMNS.index)
    figure = Figure(figsize=(4.6 * len(datasets), 2.9 * len(streams)), layout="constrained")
    panels = figure.subplots(len(streams), len(datasets), squeeze=False, sharey=True)
    for line, stream in zip(panels, streams, strict=True):
        for panel, dataset in zip(line, datasets, strict=True):
            _draw(panel, [b for b in bars if (b.cell.dataset, b.cell.stream) == (dataset, stream)])
            panel.set_title(f"{dataset}, {STREAM_TITLES[stream]}", fontsize=10)
        line[0].set_ylabel("top-1 %")
    handles = {name: panels[0][0].bar(0, 0, color=colour) for name, colour in COLOURS.items()}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    return figure


def _draw(panel: Axes, bars: Sequence[Summary]) -> None:
    by_cell = {(bar.cell.pretraining, bar.cell.protocol): bar for bar in bars}
    place, ticks, names = 0.0, [], []
    for group, cells in BARS.items():
        first = place
        for pretraining, protocol in cells:
            bar = by_cell.get((pretraining, protocol))
            if bar is not None:
                low, high = bar.interval
                error = [[bar.top1 - low], [high - bar.top1]]
                colour = COLOURS[pretraining]
                panel.bar(place, bar.top1, 0.85, color=colour, yerr=error, capsize=3, ecolor="#333333")
                panel.text(place, 2, f"{bar.top1:.0f}", ha="center", color="white", fontsize=9)
            place += 1
        ticks.append((first + place - 1) / 2)
        names.append(group if group != "frozen" else "frozen (ImageNet: control)")
        place += 0.6
    panel.set_xticks(ticks, names, fontsize=9)
    panel.set_ylim(0, 100)
    panel.spines[["top", "right"]].set_visible(False)


def literal(text: str) -> str:
    """Write a name so that Matplotlib shows it as it is: not as a formula, nor hidden from legends."""
    hidden = text.startswith("_")
    return ("\u200b" if hidden else "") + text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:] or "png", dpi=130))


def confusion_chart(table: pd.DataFrame) -> Figure:
    """Draw a confusion matrix, each row in percent of the class's videos."""
    share = 100 * table.div(table.sum(axis=1).clip(lower=1), axis=0)
    side = max(4.0, 0.42 * len(table))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    panel = figure.subplots()
    panel.imshow(share.to_numpy(), cmap="Blues", vmin=0, vmax=100)
    panel.set_xticks(range(table.shape[1]), [literal(str(n)) for n in table.columns], rotation=90, fontsize=8)
    panel.set_yticks(range(table.shape[0]), [literal(str(n)) for n in table.index], fontsize=8)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    return figure
