from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from i3d_lightning.plan import TVL1
from i3d_lightning.video.decoding import read_video
from i3d_lightning.video.flow import compute_flow

FAST = TVL1(scales=3, scale_step=0.5, warps=3, inner_iterations=10, outer_iterations=3)


@pytest.fixture
def texture():
    """A smooth random picture, 80x110 px."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 110), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(float)
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def moved(picture: np.ndarray, x: int, y: int, frames: int = 3, margin: int = 10) -> torch.Tensor:
    """A window onto a picture that moves by (x, y) px from frame to frame."""
    height, width = (side - 2 * margin for side in picture.shape)
    corners = [(margin - y * t, margin - x * t) for t in range(frames)]
    return torch.from_numpy(np.stack([picture[a : a + height, b : b + width] for a, b in corners]))


@pytest.mark.parametrize(("x", "y"), [(2, 0), (0, 3), (-2, 1)])
def test_a_known_translation(texture, x, y):
    flow = compute_flow(moved(texture, x, y), FAST)
    assert flow.shape == (2, 2, 60, 90)
    assert flow.dtype == torch.float32
    inside = flow[:, :, 10:-10, 10:-10]
    error = (inside - torch.tensor([float(x), float(y)]).view(2, 1, 1)).norm(dim=1)
    assert error.mean() < 0.05


def test_a_known_translation_of_a_real_frame(assets):
    clip = read_video(assets / "clips" / "v_CricketShot_g04_c01_rgb.gif", fps=25.0, short_side=128, most=1)
    picture = cv2.GaussianBlur(clip[:, 0].float().mean(0).to(torch.uint8).numpy(), (0, 0), 1)
    flow = compute_flow(moved(picture, 3, -2, frames=2), FAST)
    error = (flow[0] - torch.tensor([3.0, -2.0]).view(2, 1, 1)).norm(dim=0)[10:-10, 10:-10]
    assert error.median() < 0.1


def test_no_motion_is_zero(texture):
    assert compute_flow(moved(texture, 0, 0), FAST).abs().max() == 0


def test_defaults_are_opencvs(texture):
    frames = moved(texture, 2, 1, frames=2)
    expected = cv2.optflow.DualTVL1OpticalFlow_create().calc(frames[0].numpy(), frames[1].numpy(), None)
    assert torch.equal(compute_flow(frames, TVL1())[0], torch.from_numpy(expected).permute(2, 0, 1))


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


def test_the_authors_flow(assets):
    """Their sample clip's flow, made by their own TV-L1, up to ±10 px."""
    clips = assets / "clips"
    rgb, theirs = (
        read_video(clips / f"v_CricketShot_g04_c01_{kind}.gif", fps=25.0, short_side=224, most=250)[:, 36:39]
        for kind in ("rgb", "flow")
    )
    grey = np.stack(
        [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in rgb.permute(1, 2, 3, 0).contiguous().numpy()]
    )
    ours = compute_flow(torch.from_numpy(grey), TVL1()).clamp(-10, 10)
    theirs = ((theirs[:2].float() / 255 - 0.5) * 20).movedim(0, 1)[:2]
    correlation = [np.corrcoef(ours[:, c].flatten(), theirs[:, c].flatten())[0, 1] for c in (0, 1)]
    assert correlation[0] > 0.9
    assert correlation[1] > 0.7
    assert (ours - theirs).norm(dim=1).mean() < 0.2
