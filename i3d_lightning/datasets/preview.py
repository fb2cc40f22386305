"""Contact sheets: what a data set looks like, clip by clip, and how it moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.utils import flow_to_image

INK, PAPER = (34, 34, 40), (255, 255, 255)
GAP = 3
LABEL = 0.42


def contact_sheet(
    videos: Sequence[tuple[str, np.ndarray]],
    path: Path,
    flows: Sequence[np.ndarray] | None = None,
    columns: int = 7,
    width: int = 120,
) -> None:
    """Writes a PNG with one row a video: its label, frames evenly over its time, and its flow under them.

    Args:
        videos: Labels and frames, `t h w c` uint8 RGB.
        path: The PNG to write.
        flows: Optical flow of each video, `t h w 2` (x, y) in pixels, at the frames' size; drawn in the colour wheel of
            Baker et al., "A Database and Evaluation Methodology for Optical Flow" (2011): hue is the
            direction, saturation the speed relative to the clip's fastest.
        columns: Frames shown of each video.
        width: Width of a frame on the sheet, in pixels.
    """
    rows = []
    for i, (label, frames) in enumerate(videos):
        rows.append(_row(label, frames, columns, width))
        if flows is not None:
            rows.append(_row("", _colour(flows[i]), columns, width))
    sheet = np.concatenate(rows)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OSError(f"Could not write {path}")


def _row(label: str, frames: np.ndarray, columns: int, width: int) -> np.ndarray:
    height = round(width * frames.shape[1] / frames.shape[2])
    row = np.full((height + GAP, 170 + columns * (width + GAP), 3), PAPER, np.uint8)
    cv2.putText(row, label, (8, height // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, LABEL, INK, 1, cv2.LINE_AA)
    for column, t in enumerate(np.linspace(0, len(frames) - 1, columns).round().astype(int)):
        x = 170 + column * (width + GAP)
        row[:height, x : x + width] = cv2.resize(frames[t], (width, height), interpolation=cv2.INTER_CUBIC)
    return row


def _colour(flow: np.ndarray) -> np.ndarray:
    images = flow_to_image(torch.from_numpy(np.ascontiguousarray(flow)).permute(0, 3, 1, 2).float())
    return images.permute(0, 2, 3, 1).numpy()
