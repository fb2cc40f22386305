"""Pictures of what is seen in a video: its classes over time, and the places that speak for one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from i3d_lightning.predict.maps import ActivationMaps
from i3d_lightning.predict.moments import Moment, stretches
from i3d_lightning.results.charts import literal
from i3d_lightning.video import decoding

COLOURS = ("#3b7dd8", "#e0a030", "#3a9d6a", "#c8553d", "#8a63b8", "#4db6c6", "#d987b0", "#8c7a3f")
"""Of the classes in a ribbon, at most so many."""
REST = "#dcdcdc"
"""Of all other classes together."""
WIDTH = 11.0
"""Of a picture, in inches."""
STRIP = 0.85
"""Height of the frames above a ribbon, in inches."""
LETTER = 0.0085
"""Share of the width that a letter takes in the band."""
SHOWN = 6
"""Frames that activation maps are drawn over."""
_HEAT = ListedColormap([(*colormaps["inferno"](x)[:3], 0.75 * x) for x in np.linspace(0, 1, 256)])
"""From clear to bright."""


def ribbon(video: Path, moments: Sequence[Moment]) -> Figure:
    """Draw the classes of a video over time: its frames, the most probable class, and the probabilities.

    Classes that are the most probable one at some moment have a colour, at most eight, those with the most
    probability in all; the others are grey together.

    Args:
        video: The video.
        moments: All of it.

    Raises:
        UnreadableVideoError: Its frames cannot be read.
    """
    labels, edges = moments[0].labels, [moments[0].start, *(moment.end for moment in moments)]
    table = torch.stack([moment.probabilities for moment in moments])
    shown = sorted(set(table.argmax(1).tolist()), key=lambda k: -float(table[:, k].sum()))[: len(COLOURS)]
    colour_of = {labels[k]: colour for k, colour in zip(shown, COLOURS, strict=False)}
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    above, band, below = figure.subplots(3, 1, sharex=True, height_ratios=(STRIP, 0.28, 1.9))
    _draw_frames(above, video, edges[-1])
    for one in stretches(moments):
        band.axvspan(one.start, one.end, color=colour_of.get(one.label, REST), linewidth=0)
        if one.end - one.start > LETTER * len(one.label) * edges[-1]:
            middle = (one.start + one.end) / 2
            band.text(middle, 0.46, literal(one.label), ha="center", va="center", fontsize=9, color="white")
    for panel in (above, band):
        panel.set_yticks([])
        panel.tick_params(bottom=False)
        panel.spines[:].set_visible(False)
    floor = np.zeros(len(moments))
    for k in shown:
        top = floor + table[:, k].numpy()
        name = literal(f"{labels[k]} ({_mean(table[:, k], edges):.2f})")
        below.stairs(top, edges, baseline=floor, fill=True, color=colour_of[labels[k]], label=name)
        floor = top
    below.stairs(np.ones(len(moments)), edges, baseline=floor, fill=True, color=REST, label="all others")
    below.set_ylim(0, 1)
    below.set_xlim(0, edges[-1])
    below.set_ylabel("probability")
    below.set_xlabel("time")
    below.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    below.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(literal(video.name), fontsize=10)
    return figure


def clock(seconds: float) -> str:
    """Write a time as it is read on a clock: 3.5 s, 1:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes}:{left:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{left:02}"


def _mean(values: torch.Tensor, edges: Sequence[float]) -> float:
    return float(np.average(values.numpy(), weights=np.diff(edges)))


def _draw_frames(panel: Axes, video: Path, seconds: float) -> None:
    """Draw frames side by side, each from the middle of the time that it lies over."""
    about = decoding.probe(video)
    count = max(1, round(0.93 * WIDTH / STRIP * about.height / about.width))
    edges = np.linspace(0, seconds, count + 1)
    last = decoding.length(video, fps=about.fps) - 1
    for start, end in pairwise(edges):
        frame = min(last, int((start + end) / 2 * about.fps))
        image = decoding.read_clip(video, frame, 1, fps=about.fps, short_side=128)[:, 0]
        panel.imshow(image.movedim(0, -1).numpy(), extent=(start, end, 0, 1), aspect="auto")


def activation_picture(video: Path, found: ActivationMaps) -> Figure:
    """Draw frames of a video with the activation map of a class over each, and its logit over time.

    Colours go from the mean of the map, which is clear, to its largest value, the same for all frames.

    Args:
        video: The video.
        found: The maps; the first class is drawn.
    """
    frames, map_ = found.frames, found.maps[0]
    count = min(SHOWN, frames.shape[1])
    chosen = ((torch.arange(count) + 0.5) * frames.shape[1] / count).long()
    heat = F.interpolate(
        map_[None, None], (frames.shape[1], *frames.shape[2:]), mode="trilinear", align_corners=False
    )[0, 0]
    mean, most = float(found.logits[0]), float(map_.max())
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    scale = ScalarMappable(Normalize(mean, max(most, mean + 1e-6)), _HEAT)
    grid = figure.add_gridspec(2, count, height_ratios=(1.5, 1))
    seconds = found.seconds / frames.shape[1] * (chosen + 0.5)
    panels: list[Axes] = []
    for column, (frame, at) in enumerate(zip(chosen.tolist(), seconds.tolist(), strict=True)):
        panel = figure.add_subplot(grid[0, column])
        panel.imshow(frames[:, frame].movedim(0, -1).clamp(0, 255).byte().numpy())
        panel.imshow(scale.to_rgba(heat[frame].numpy()))
        panel.set_title(clock(round(at, 1)), fontsize=9)
        panel.set_axis_off()
        panels.append(panel)
    figure.colorbar(scale, ax=panels, label="logit at the place", aspect=12, pad=0.01)
    _draw_course(figure.add_subplot(grid[1, :]), found, seconds.tolist())
    title = f"{video.name}: {found.labels[0]}, probability {float(found.probabilities[0]):.2f}"
    figure.suptitle(literal(title), fontsize=10)
    return figure


def _draw_course(panel: Axes, found: ActivationMaps, marked: Sequence[float]) -> None:
    """Draw the logit at each step in time, averaged over places, and the network's."""
    shares = found.shares / found.shares.sum((1, 2), keepdim=True)
    steps = (found.maps[0] * shares).sum((1, 2)).numpy()
    mean, edges = float(found.logits[0]), np.linspace(0, found.seconds, len(steps) + 1)
    panel.stairs(steps, edges, baseline=None, color="#333333", linewidth=1.5, label="at this time")
    panel.axhline(mean, color="#c8553d", linewidth=1, linestyle="--", label=f"of all of it: {mean:.1f}")
    for at in marked:
        panel.axvline(at, color="#bbbbbb", linewidth=0.8, zorder=0)
    panel.set_xlim(0, found.seconds)
    panel.legend(frameon=False, fontsize=9, ncols=2, loc="best")
    panel.set_ylabel("logit")
    panel.set_xlabel("time")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    panel.spines[["top", "right"]].set_visible(False)
