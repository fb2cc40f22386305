"""Contact sheets: what a data set looks like, class by class, and how its videos move."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.utils import flow_to_image

from i3d_lightning.datasets.clips import RGBFrames
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import write_atomically
from i3d_lightning.flow import estimate_flow
from i3d_lightning.recipe import Recipe
from i3d_lightning.video import transforms
from i3d_lightning.video.images import ImageFrames

COLUMNS = 7
"""Frames shown of each clip, or images of each class."""
LABEL_WIDTH, FRAME_WIDTH, GAP = 150, 120, 3
"""Pixels on the sheet: the column of labels, a frame, and the space between two."""
INK, PAPER = (40, 40, 46), 255


def draw_preview(data: DatasetSplit, recipe: Recipe, output: Path, classes: int = 10) -> None:
    """Write a contact sheet (PNG) of the first classes.

    Of videos it shows one training clip each and its flow, of images several.

    Args:
        data: The data set.
        recipe: Says how long a clip is, its frame rate and size, and how flow is computed.
        output: The picture to write.
        classes: How many classes to show.

    Raises:
        InputError: No training video or image can be read.
    """
    of_class: dict[int, list[Video]] = {}
    for video in data.train:
        of_class.setdefault(video.label, []).append(video)
    known = DATASETS.get(data.name)
    rows, flows = [], []
    for label in sorted(of_class)[:classes]:
        if known is not None and known.images:
            rows += [(data.classes[label], images) for images in _images(of_class[label], recipe)]
        else:
            for frames, flow in islice(_clips(of_class[label], recipe), 1):
                rows.append((data.classes[label], frames))
                flows.append(flow)
    if not rows:
        raise InputError(f"No training video or image of {data.name} can be read: there is nothing to show.")
    contact_sheet(rows, output, flows or None, COLUMNS)


def _clips(videos: Sequence[Video], recipe: Recipe) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield frames of each readable video, `t h w 3` uint8, and the flow from them, `t h w 2`."""
    clips = recipe.clips
    frames = RGBFrames(clips.fps, clips.short_side, aspect=clips.aspect)
    for video in videos:
        try:
            clip = frames.read(video.file, 0, clips.train_frames + 1)
        except UnreadableVideoError:
            continue
        shown = np.linspace(0, clips.train_frames - 1, COLUMNS).round().astype(int).tolist()
        pairs = torch.stack([clip[:, t : t + 2] for t in shown])  # no flow but of these
        flow = estimate_flow(pairs, recipe.flow)[:, 0]
        yield clip[:, shown].permute(1, 2, 3, 0).numpy(), flow.permute(0, 2, 3, 1).numpy()


def _images(videos: Sequence[Video], recipe: Recipe) -> Iterator[np.ndarray]:
    """Yield a row of readable images, cut to squares, `t h w 3` uint8, and white for lacking ones."""
    side, source = recipe.clips.short_side, ImageFrames(recipe.clips.short_side)
    found: list[np.ndarray] = []
    for video in videos:
        if len(found) == COLUMNS:
            break
        try:
            image = source.read(video.file, 0, 1)
        except UnreadableVideoError:
            continue
        square = transforms.crop(image, *transforms.centre_place(image.shape, side), side)
        found.append(square[:, 0].permute(1, 2, 0).numpy())
    if found:
        white = np.full((side, side, 3), 255, np.uint8)
        yield np.stack([*found, *[white] * (COLUMNS - len(found))])


def contact_sheet(
    videos: Sequence[tuple[str, np.ndarray]],
    path: Path,
    flows: Sequence[np.ndarray] | None = None,
    columns: int = 7,
) -> None:
    """Write a PNG with a row for each video: its label and frames evenly spread over its time.

    Flow is drawn under the frames in the colour wheel of Baker et al., "A Database and Evaluation
    Methodology for Optical Flow" (https://vision.middlebury.edu/flow/): the hue is the direction, the
    saturation the speed relative to the clip's fastest, and white stands still.

    Args:
        videos: Labels and frames, `t h w c` uint8 RGB.
        path: The PNG to write; its folder is made if it is missing.
        flows: Optical flow of each video, `t h w c` (x and y, in pixels).
        columns: Frames shown of each video.
    """
    rows = []
    for i, (label, frames) in enumerate(videos):
        rows.append(_row(label, frames, columns))
        if flows is not None:
            rows.append(_row("", _colour(flows[i]), columns))
    _, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    write_atomically(path, lambda file: file.write(png.tobytes()))


def _row(label: str, frames: np.ndarray, columns: int) -> np.ndarray:
    height = round(FRAME_WIDTH * frames.shape[1] / frames.shape[2])
    row = np.full((height + GAP, LABEL_WIDTH + columns * (FRAME_WIDTH + GAP), 3), PAPER, np.uint8)
    lines = textwrap.wrap(label.replace("_", " "), 20)
    for i, line in enumerate(lines):
        y = height // 2 + 5 + round(18 * (i - (len(lines) - 1) / 2))
        cv2.putText(row, line, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    for column, t in enumerate(np.linspace(0, len(frames) - 1, columns).round().astype(int)):
        x = LABEL_WIDTH + column * (FRAME_WIDTH + GAP)
        frame = cv2.resize(frames[t], (FRAME_WIDTH, height), interpolation=cv2.INTER_CUBIC)
        row[:height, x : x + FRAME_WIDTH] = frame
    return row


def _colour(flow: np.ndarray) -> np.ndarray:
    """Draw flow `t h w 2` in the colour wheel: `t h w 3` uint8."""
    fields = torch.from_numpy(np.ascontiguousarray(flow, np.float32)).permute(0, 3, 1, 2)
    return flow_to_image(fields).permute(0, 2, 3, 1).numpy()
