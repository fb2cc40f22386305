"""What holds for every network of Table 1; what holds for one alone is in its own file."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Clips, Training

CLIPS = {
    "convnet": Clips(crop=32, train_frames=1),
    "convnet-lstm": Clips(crop=32, train_frames=8, snapshot=2),
    "c3d": Clips(crop=32, train_frames=16),
    "two-stream": Clips(crop=32, train_frames=10, snapshot=10),
    "fused-3d": Clips(crop=32, train_frames=20, snapshot=10),
    "i3d": Clips(crop=32, train_frames=9),
    "i3d-early-stride": Clips(crop=32, train_frames=33),
}
CELLS = [(a, s) for a in CLIPS for s in ARCHITECTURES[a].streams]


def build(architecture: str, stream: str, classes: int = 5, dropout: float = 0.0) -> VideoNetwork:
    torch.manual_seed(0)
    training = Training(dropout=dropout)
    return ARCHITECTURES[architecture].build(classes, stream, CLIPS[architecture], training)


def inputs(architecture: str, stream: str, batch: int = 2, windows: int = 1) -> list[Tensor]:
    """Clips as the data module gives them: `windows` times as long as in training."""
    clips = CLIPS[architecture]
    frames = windows * clips.train_frames
    rgb = torch.randn(batch, 3, frames // clips.snapshot, clips.crop, clips.crop)
    flow = torch.randn(batch, 2, frames, clips.crop, clips.crop)
    return {"rgb": [rgb], "flow": [flow], "joint": [rgb, flow]}[stream]


@pytest.mark.parametrize(
    ("architecture", "stream", "parameters", "millions"),
    [
        ("convnet-lstm", ["rgb"], 8_958_000, 9),
        ("c3d", ["rgb"], 79_645_520, 79),
        ("two-stream", ["joint"], 12_072_720, 12),
        ("fused-3d", ["joint"], 39_770_896, 39),
        ("i3d", ["rgb", "flow"], 25_372_576, 25),
    ],
)
def test_parameters_are_table_1s(architecture, stream, parameters, millions):
    spec = ARCHITECTURES[architecture]
    with torch.device("meta"):
        networks = [spec.build(400, s, spec.clips, Training()) for s in stream]
    count = sum(p.numel() for network in networks for p in network.parameters())
    assert count == parameters
    assert count / 1e6 == pytest.approx(millions, rel=0.03)


@pytest.mark.parametrize(("architecture", "stream"), CELLS)
def test_forward_is_head_of_features(architecture, stream):
    network = build(architecture, stream).eval()
    clips = inputs(architecture, stream, windows=2)
    with torch.no_grad():
        features = network.forward_features(*clips)
        logits = network(*clips)
    assert features.shape[:2] == (2, network.feature_size)
    assert logits.shape == (2, 5, features.shape[2])
    torch.testing.assert_close(network.forward_head(features), logits)
    assert network.pool_time(logits).shape == (2, 5)
    network.reset_classifier(7)
    assert network(*clips).shape[1] == 7


@pytest.mark.parametrize(("architecture", "stream"), CELLS)
def test_each_learns_a_handful_of_clips(architecture, stream):
    network = build(architecture, stream, classes=4).train()
    clips, labels = inputs(architecture, stream, batch=4), torch.arange(4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def loss() -> Tensor:
        return F.cross_entropy(network.pool_time(network(*clips)), labels)

    first = now = loss().item()
    steps = 0
    while now > 0.3 and steps < 60:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        now, steps = value.item(), steps + 1
    assert first > 1.2  # four classes: chance is 1.39
    assert now < 0.3
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(("architecture", "stream"), CELLS)
def test_the_grid_averages_to_the_features(architecture, stream):
    network, clips = build(architecture, stream).eval(), inputs(architecture, stream, batch=1, windows=2)
    with torch.no_grad():
        if architecture in ("c3d", "convnet-lstm"):
            with pytest.raises(NotImplementedError):
                network.forward_grid(*clips)
            return
        grid = network.forward_grid(*clips)
        features = network.pool_time(network.forward_features(*clips))
    shares = network.grid_shares(*grid.shape[2:])
    torch.testing.assert_close((grid * shares).sum((2, 3, 4)), features)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
