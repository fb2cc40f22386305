"""A picture of a data set: clips of its classes, and how they move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from i3d_lightning.datasets.lists import DatasetSplit, Video
from i3d_lightning.datasets.preview import contact_sheet
from i3d_lightning.plan import InputError, Recipe
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.flow import estimate_flow

COLUMNS = 7
"""Frames shown of each clip."""


def draw_preview(data: DatasetSplit, recipe: Recipe, output: Path, classes: int = 10) -> None:
    """Write a contact sheet (PNG) of one readable training clip for each of the first classes.

    Args:
        data: The data set.
        recipe: Says how long a clip is, its frame rate and size, and how flow is computed.
        output: The picture to write.
        classes: How many classes to show.

    Raises:
        InputError: No clip can be read.
    """
    clips, rows, flows = recipe.clips, [], []
    for video in _one_per_class(data, classes):
        clip = read_clip(video.path, 0, clips.train_frames + 1, fps=clips.fps, short_side=clips.short_side)
        shown = np.linspace(0, clips.train_frames - 1, COLUMNS).round().astype(int).tolist()
        seen = torch.stack([clip[:, t : t + 2] for t in shown])  # no flow but of these
        rows.append((data.classes[video.label], clip[:, shown].permute(1, 2, 3, 0).numpy()))
        flows.append(estimate_flow(seen, recipe.flow)[:, 0].permute(0, 2, 3, 1).numpy())
    contact_sheet(rows, output, flows, columns=COLUMNS)


def _one_per_class(data: DatasetSplit, classes: int) -> list[Video]:
    first: dict[int, Video] = {}
    for video in data.train:
        first.setdefault(video.label, video)
    if not first:
        raise InputError(f"{data.name} has no training videos to show.")
    return [first[label] for label in sorted(first)[:classes]]
