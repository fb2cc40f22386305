"""Contact sheets show the frames and the flow that they were given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from i3d_lightning.datasets.preview import FRAME_WIDTH, GAP, LABEL_WIDTH, contact_sheet


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def frame_on(sheet: np.ndarray, row: int, column: int, height: int = 96) -> np.ndarray:
    y, x = row * (height + GAP), LABEL_WIDTH + column * (FRAME_WIDTH + GAP)
    return sheet[y : y + height, x : x + FRAME_WIDTH]


def test_rows_show_frames_evenly_over_time(tmp_path: Path) -> None:
    greys = np.arange(0, 210, 10, dtype=np.uint8)  # 21 frames
    ramp = np.broadcast_to(greys[:, None, None, None], (21, 64, 80, 3))
    contact_sheet([("one", ramp), ("two", ramp[::-1])], tmp_path / "new" / "sheet.png", columns=3)
    sheet = read(tmp_path / "new" / "sheet.png")
    assert sheet.shape == (2 * (96 + GAP), LABEL_WIDTH + 3 * (FRAME_WIDTH + GAP), 3)
    assert [np.unique(frame_on(sheet, 0, column)).tolist() for column in range(3)] == [[0], [100], [200]]
    assert [np.unique(frame_on(sheet, 1, column)).tolist() for column in range(3)] == [[200], [100], [0]]


def test_labels_are_written(tmp_path: Path) -> None:
    black = np.zeros((2, 64, 80, 3), np.uint8)
    long = "passing American football (not in game)"
    for name, label in (("none", ""), ("short", "bowing"), ("long", long)):
        contact_sheet([(label, black)], tmp_path / f"{name}.png")
    ink = {
        name: (read(tmp_path / f"{name}.png")[:, :LABEL_WIDTH] < 128).any(-1)
        for name in ("none", "short", "long")
    }
    assert not ink["none"].any()
    assert ink["short"].sum() > 50
    assert np.diff(ink["long"].any(1).astype(int)).clip(0).sum() >= 2  # broken into lines
    assert not ink["long"][:, -4:].any()  # and kept clear of the frames


def test_flow_is_drawn_in_the_colour_wheel_under_the_frames(tmp_path: Path) -> None:
    black = np.zeros((2, 64, 80, 3), np.uint8)
    flow = np.zeros((2, 64, 80, 2), np.float32)
    flow[:, :, 40:, 0] = 3.0  # the right half moves to the right
    contact_sheet([("", black)], tmp_path / "sheet.png", [flow], columns=2)
    shown = frame_on(read(tmp_path / "sheet.png"), 1, 0)
    assert (shown[:, :55] > 250).all()  # white stands still
    red, green, blue = shown[:, 65:].reshape(-1, 3).mean(0)
    assert red > 240 and green < 30 and blue < 30  # red moves to the right
