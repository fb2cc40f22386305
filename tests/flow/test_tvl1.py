from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from i3d_lightning.errors import InputError
from i3d_lightning.flow import compute_flow, grey
from i3d_lightning.recipe import FLOW_PRESETS, Flow
from i3d_lightning.video.decoding import read_clip, read_video

FAST = Flow(scales=3, scale_step=0.5, warps=3, inner_iterations=10, outer_iterations=3)
MARGIN = 10
EVERY = 3
"""OpenCV's field of a real clip is kept at one pixel in so many, each way."""


@pytest.fixture(scope="module")
def opencv():
    """What OpenCV's TV-L1 found of the same frames, see opencv_reference.py."""
    return np.load(Path(__file__).with_name("opencv.npz"))


@pytest.fixture
def texture():
    """A smooth random picture, 80x110 px."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 110), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(float)
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def moved(picture: np.ndarray, x: int, y: int, frames: int = 3) -> torch.Tensor:
    """A window onto a picture that moves by (x, y) px from frame to frame, `1 t h w`."""
    height, width = (side - 2 * MARGIN for side in picture.shape)
    corners = [(MARGIN - y * t, MARGIN - x * t) for t in range(frames)]
    return torch.from_numpy(np.stack([picture[a : a + height, b : b + width] for a, b in corners]))[None]


@pytest.mark.parametrize("solver", ["reference", "cpu"])
@pytest.mark.parametrize(("x", "y"), [(2, 0), (0, 3), (-2, 1)])
def test_a_known_translation(texture, x, y, solver):
    flow = compute_flow(moved(texture, x, y), FAST, solver)
    assert flow.shape == (1, 2, 2, 60, 90)
    assert flow.dtype == torch.float32
    inside = flow[0, :, :, 10:-10, 10:-10]
    error = (inside - torch.tensor([float(x), float(y)]).view(2, 1, 1)).norm(dim=1)
    assert error.mean() < 0.05


def test_no_motion_is_zero(texture):
    assert compute_flow(moved(texture, 0, 0), FAST).abs().max() == 0


def test_a_batch_gives_what_its_videos_give_alone(texture):
    videos = [moved(texture, 2, 1), moved(texture[::-1].copy(), -1, 3)]
    together = compute_flow(torch.cat(videos), FAST)
    for one, flow in zip(videos, together, strict=True):
        torch.testing.assert_close(compute_flow(one, FAST)[0], flow, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        {"tau": 0.1}, {"lambda_": 0.5}, {"theta": 0.6}, {"scales": 1}, {"scale_step": 0.7}, {"warps": 1},
        {"epsilon": 0.5}, {"inner_iterations": 2}, {"outer_iterations": 1}, {"median": 1},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_setting_reaches_the_algorithm(texture, change):
    frames = moved(texture, 3, 2, frames=2)
    changed = compute_flow(frames, dataclasses.replace(FAST, **change))
    assert not torch.equal(changed, compute_flow(frames, FAST))


def _scene(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Two frames of a textured scene, `1 2 h w`, and their exact motion, `2 h w`: NaN where hidden."""
    height, width = 128, 160
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre_x, centre_y = width / 2, height / 2
    angle, zoom, shift = {
        "translation": (0.0, 1.0, (2.6, -1.7)), "rotation": (0.03, 1.0, (0.0, 0.0)),
        "zoom": (0.0, 1.04, (0.0, 0.0)), "occlusion": (0.0, 1.0, (1.5, 0.5)),
    }[kind]  # fmt: skip
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.stack([x - centre_x, y - centre_y])
    flow = np.einsum("ij,jhw->ihw", turn, offset) - offset + np.array(shift)[:, None, None]

    def look(px: np.ndarray, py: np.ndarray, seed: int) -> np.ndarray:
        waves = np.random.default_rng(seed).normal(size=(40, 4))
        value = sum(np.sin(0.25 * (a * px + b * py) + 6 * c) * d for a, b, c, d in waves)
        return np.clip(128 + 14 * value, 0, 255)

    inverse = np.linalg.inv(turn)
    back = np.einsum("ij,jhw->ihw", inverse, offset - np.array(shift)[:, None, None])
    first = look(offset[0], offset[1], 0)
    second = look(back[0], back[1], 0)
    if kind == "occlusion":  # a disc in front moves against the ground
        disc_shift = (-3.0, 2.0)
        disc = (offset**2).sum(0) < 30**2
        disc_after = (offset[0] - disc_shift[0]) ** 2 + (offset[1] - disc_shift[1]) ** 2 < 30**2
        first = np.where(disc, look(offset[0], offset[1], 1), first)
        second = np.where(disc_after, look(offset[0] - disc_shift[0], offset[1] - disc_shift[1], 1), second)
        flow = np.where(disc, np.array(disc_shift)[:, None, None], flow)
        flow = np.where(disc_after & ~disc, np.nan, flow)
    frames = np.stack([first, second]).round().astype(np.uint8)
    return torch.from_numpy(frames)[None], torch.from_numpy(flow.astype(np.float32))


def _endpoint_error(flow: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    error = (flow - truth).norm(dim=0)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return error[error.isfinite()].mean()


@pytest.mark.parametrize("kind", ["translation", "rotation", "zoom", "occlusion"])
def test_exactly_known_motion_is_found_as_well_as_by_opencv(opencv, kind):
    frames, truth = _scene(kind)
    ours = _endpoint_error(compute_flow(frames)[0, 0], truth)
    theirs = opencv[kind]
    assert ours < 1.05 * theirs
    assert theirs < 0.5


def _real_frames(assets, video: str, frames: int = 3) -> torch.Tensor:
    path = next((assets / "ucf101" / "videos").glob(f"*/{video}.avi"))
    return grey(read_clip(path, 20, frames, fps=25.0, short_side=256))[None]


@pytest.mark.parametrize("solver", ["reference", "cpu"])
def test_real_clips_give_opencvs_flow(assets, opencv, solver):
    """OpenCV reads images between pixels at 1/32 px, we exactly."""
    frames = _real_frames(assets, "v_Basketball_g01_c01", frames=2)
    found = compute_flow(frames, Flow(), solver)[..., ::EVERY, ::EVERY]
    difference = (found - torch.from_numpy(opencv["real"]).float()).norm(dim=2)
    assert difference.median() < 0.05
    assert difference.mean() < 0.15


def test_fast_settings_stay_near_the_accurate_ones(assets):
    frames = _real_frames(assets, "v_PullUps_g01_c01")
    difference = (compute_flow(frames, FLOW_PRESETS["fast"]) - compute_flow(frames)).norm(dim=2)
    assert difference.median() < 0.15


def _authors_clip(assets) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of frames of the authors' sample clip, `b 2 h w`, and their flow up to ±10 px, `b 2 h w`."""
    clips = assets / "clips"
    rgb, flow = (
        read_video(clips / f"v_CricketShot_g04_c01_{kind}.gif", fps=25.0, short_side=224, most=250)
        for kind in ("rgb", "flow")
    )
    fields = list(range(0, 78, 13))  # not all 78
    pairs = torch.stack([rgb[:, t : t + 2] for t in fields])
    return grey(pairs), ((flow[:2, fields].float() / 255 - 0.5) * 20).movedim(0, 1)


def _agreement(flow: torch.Tensor, expected: torch.Tensor) -> list[float]:
    """Correlation of x and of y, and the mean distance in px, negative."""
    flow = flow.clamp(-10, 10)
    correlations = [np.corrcoef(flow[:, c].flatten(), expected[:, c].flatten())[0, 1] for c in (0, 1)]
    return [*correlations, -float((flow - expected).norm(dim=1).mean())]


def test_the_authors_flow(assets, opencv):
    """Their sample clip's flow, made by their own TV-L1; OpenCV reaches 0.93, 0.89, 0.17 px."""
    frames, expected = _authors_clip(assets)
    agreement = _agreement(compute_flow(frames)[:, 0], expected)
    for ours, theirs in zip(agreement, opencv["authors"], strict=True):
        assert ours > theirs - 0.01


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(1, 1, 32, 32), "at least two frames"),
        (torch.zeros(1, 2, 15, 32), "at least 16 px"),
        (torch.full((1, 2, 32, 32), float("nan")), "NaN"),
        (torch.full((1, 2, 32, 32), 300.0), r"grey values in \[0, 255\], but these are in \[300, 300\]"),
        (torch.rand(1, 2, 32, 32), r"grey values in \[0, 255\]"),
    ],
)
def test_bad_frames_are_refused(frames, message):
    with pytest.raises(InputError, match=message):
        compute_flow(frames)


def test_small_frames_get_fewer_scales_and_it_is_said(caplog):
    frames = torch.randint(0, 256, (1, 2, 17, 23), dtype=torch.uint8)
    with caplog.at_level(logging.WARNING):
        compute_flow(frames, Flow(warps=1, inner_iterations=1, outer_iterations=1))
    assert "23x17 px have room for 1 scales of TV-L1 only, not 5" in caplog.text
