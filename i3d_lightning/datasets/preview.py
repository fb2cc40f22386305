"""Contact sheets: what a data set looks like, clip by clip, and how it moves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.utils import flow_to_image

LABEL_WIDTH, FRAME_WIDTH, GAP = 150, 120, 3
"""Pixels on the sheet: the column of labels, a frame, and the space between two."""
INK, PAPER = (40, 40, 46), 255


def contact_sheet(
    videos: Sequence[tuple[str, np.ndarray]],
    path: Path,
    flows: Sequence[np.ndarray] | None = None,
    columns: int = 7,
) -> None:
    """Writes a PNG with a row for each video: its label and frames evenly spread over its time.

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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.tobytes())


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
    """Flow `t h w 2` in the colour wheel: `t h w 3` uint8."""
    fields = torch.from_numpy(np.ascontiguousarray(flow, np.float32)).permute(0, 3, 1, 2)
    return flow_to_image(fields).permute(0, 2, 3, 1).numpy()
