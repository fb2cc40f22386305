"""Contact sheets show the frames, the flow and the images that they were given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from i3d_lightning.datasets.preview import FRAME_WIDTH, GAP, LABEL_WIDTH, contact_sheet, draw_preview
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips, Flow, Recipe

RECIPE = Recipe(
    clips=Clips(short_side=32, crop=32, train_frames=9),
    flow=Flow(scales=1, warps=1, inner_iterations=2, outer_iterations=1),
)


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


def test_a_preview_of_videos_has_a_clip_of_each_class_and_its_flow(tiny_ucf: Path, tmp_path: Path) -> None:
    data = read_dataset("ucf101", tiny_ucf, 1)
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")
    data = replace(data, train=(replace(data.train[0], path=broken), *data.train[1:]))  # the next is shown
    draw_preview(data, RECIPE, tmp_path / "preview.png", classes=2)
    sheet = read(tmp_path / "preview.png")
    assert sheet.shape == (4 * (96 + GAP), LABEL_WIDTH + 7 * (FRAME_WIDTH + GAP), 3)
    red, green = (frame_on(sheet, row, 3).reshape(-1, 3).mean(0) for row in (0, 2))
    assert red[0] > red[1] + 5 and green[1] > green[0] + 5
    with pytest.raises(InputError, match="No training video or image of ucf101 can be read"):
        draw_preview(replace(data, train=data.train[:1]), RECIPE, tmp_path / "none.png")


def test_a_preview_of_images_has_several_of_each_class(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for label, (name, count) in enumerate((("n01", 3), ("n02", 9))):
            for i in range(count):
                path = tmp_path / "images" / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.full((40 + i, 60, 3), 100 + 50 * label + i, np.uint8))
    data = read_dataset("imagenet", tmp_path / "images", 1)
    draw_preview(data, RECIPE, tmp_path / "preview.png")
    sheet = read(tmp_path / "preview.png")
    assert sheet.shape[0] == 2 * (FRAME_WIDTH + GAP)  # squares
    for row, values in enumerate(([100, 101, 102, 255, 255, 255, 255], list(range(150, 157)))):
        shown = [frame_on(sheet, row, column, FRAME_WIDTH) for column in range(7)]
        assert [np.unique(square).tolist() for square in shown] == [[value] for value in values]
