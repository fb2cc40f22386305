"""Pictures of results, drawn from stored predictions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from i3d_lightning.plan import InputError, is_pretraining_set
from i3d_lightning.results import STREAM_TITLES

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
"""Pretraining and protocol of each bar: what is trained end to end, and what only has a new last layer."""


def pretraining_chart(summary: pd.DataFrame, architecture: str = "i3d") -> Figure:
    """ImageNet against Kinetics pretraining: bars of top-1 with 95 % bootstrap intervals over videos.

    One row of panels for each stream and one column for each target; a bar that was not run is left out.

    Args:
        summary: `results.summarise` of all scores.
        architecture: Whose bars.

    Raises:
        InputError: Nothing of it was run on a target.
    """
    rows = summary[(summary["architecture"] == architecture) & ~summary["dataset"].map(is_pretraining_set)]
    rows = rows[[splits == (1,) for splits in rows["splits"]]]
    if rows.empty:
        raise InputError(
            f"No run of {architecture} on a target, split 1, is there to draw: run make compare."
        )
    datasets, streams = sorted(rows["dataset"].unique()), list(dict.fromkeys(rows["stream"]))
    figure = Figure(figsize=(4.6 * len(datasets), 2.9 * len(streams)), layout="constrained")
    panels = figure.subplots(len(streams), len(datasets), squeeze=False, sharey=True)
    for line, stream in zip(panels, streams, strict=True):
        for panel, dataset in zip(line, datasets, strict=True):
            cell = rows[(rows["dataset"] == dataset) & (rows["stream"] == stream)]
            _bars(panel, cell)
            panel.set_title(f"{dataset}, {STREAM_TITLES[stream]}", fontsize=10)
        line[0].set_ylabel("top-1 %")
    handles = {name: panels[0][0].bar(0, 0, color=colour) for name, colour in COLOURS.items()}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    return figure


def _bars(panel: Axes, cell: pd.DataFrame) -> None:
    place, ticks, names = 0.0, [], []
    for group, bars in BARS.items():
        first = place
        for pretraining, protocol in bars:
            found = cell[(cell["pretraining"] == pretraining) & (cell["protocol"] == protocol)]
            if not found.empty:
                row = found.iloc[0]
                error = [[row["top1"] - row["low"]], [row["high"] - row["top1"]]]
                colour = COLOURS[pretraining]
                panel.bar(place, row["top1"], 0.85, color=colour, yerr=error, capsize=3, ecolor="#333333")
                panel.text(place, 2, f"{row['top1']:.0f}", ha="center", color="white", fontsize=9)
            place += 1
        ticks.append((first + place - 1) / 2)
        names.append(group if group != "frozen" else "frozen (ImageNet: control)")
        place += 0.6
    panel.set_xticks(ticks, names, fontsize=9)
    panel.set_ylim(0, 100)
    panel.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def confusion_chart(table: pd.DataFrame) -> Figure:
    """A confusion matrix, each row in percent of the class's videos."""
    share = 100 * table.div(table.sum(axis=1).clip(lower=1), axis=0)
    side = max(4.0, 0.42 * len(table))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    panel = figure.subplots()
    panel.imshow(share.to_numpy(), cmap="Blues", vmin=0, vmax=100)
    panel.set_xticks(range(table.shape[1]), list(table.columns), rotation=90, fontsize=8)
    panel.set_yticks(range(table.shape[0]), list(table.index), fontsize=8)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    return figure
