"""Golden numbers: what networks and protocols compute changes only with their result version.

A version is part of a run's identity, so a run made by other code is refused instead of mixed up. Where a
number changed on purpose, raise the `version` of the Architecture or Protocol, and record the numbers again:

    I3D_RECORD_GOLDEN=1 python -m pytest tests/test_golden.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import SMALLEST, TINY, run_one, save_untrained
from torch import nn

from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.networks.size import example_clips
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import Clips, Recipe, Training, compose, merge
from i3d_lightning.study.workspace import Workspace

NUMBERS = Path(__file__).parent / "golden" / "numbers.json"
LONGEST = {**SMALLEST, "i3d-early-stride": {"train_frames": 33, "test_frames": 33}}


def hold(what: str, version: int, found: list[float], tolerance: float) -> None:
    """Compares with the recorded numbers of this version, or records them where that is asked for."""
    recorded = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    known = recorded.get(what)
    if known is not None and known["version"] == version:
        expected = np.array(known["numbers"])
        np.testing.assert_allclose(
            found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(),
            err_msg=f"{what} computes other numbers: raise its version, and record them again",
        )  # fmt: skip
    elif os.environ.get("I3D_RECORD_GOLDEN"):
        recorded[what] = {"version": version, "numbers": [float(f"{number:.7g}") for number in found]}
        text = json.dumps(dict(sorted(recorded.items())), indent=1)
        NUMBERS.write_text(text + "\n")
    else:
        pytest.fail(f"{what}, version {version}, has no recorded numbers: record them")


CASES = [(a.name, stream) for a in ARCHITECTURES if not a.library for stream in a.streams]


@pytest.mark.parametrize(("architecture", "stream"), CASES, ids=lambda word: word)
def test_a_network_computes_what_it_did(architecture, stream):
    """Logits, and the gradient of a training step, from a seeded start on seeded clips."""
    known = ARCHITECTURES[architecture]
    small = {
        "clips": {**TINY["clips"], **LONGEST[architecture]},
        "training": {"dropout": 0.0, "batchnorm_momentum": 0.1},
    }
    recipe = compose(Recipe(clips=known.clips), small)
    torch.manual_seed(0)
    network = known.build(5, stream, recipe.clips, recipe.training)
    random = torch.Generator().manual_seed(1)
    clips = [
        torch.rand(like.shape, generator=random) * 2 - 1
        for like in example_clips(stream, recipe.clips, batch=4)
    ]
    loss = F.cross_entropy(network.train().pool_time(network(*clips)), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    norm = sum(p.grad.square().sum() for p in network.parameters() if p.grad is not None).sqrt()
    with torch.inference_mode():
        logits = network.eval().pool_time(network(*clips))[0]
    hold(
        f"network {architecture} {stream}", known.version, [*logits.tolist(), loss.item(), norm.item()], 1e-3
    )


class Plain(VideoNetwork):
    """Shallow, so that rounding, which differs between machines and threads, stays rounding in training."""

    feature_size = 8

    def __init__(self, classes: int, dropout: float, batchnorm_momentum: float) -> None:
        super().__init__(dropout)
        self.body = nn.Sequential(
            nn.Conv3d(3, 8, 5, stride=3), nn.BatchNorm3d(8, momentum=batchnorm_momentum), nn.ReLU()
        )
        self.reset_classifier(classes)

    def forward_features(self, *clips: torch.Tensor) -> torch.Tensor:
        (clip,) = clips
        return self.body(clip).mean((3, 4))


def _build(classes: int, stream: str, clips: Clips, training: Training) -> Plain:
    return Plain(classes, training.dropout, training.batchnorm_momentum)


@pytest.mark.parametrize("protocol", [p.name for p in PROTOCOLS])
def test_a_protocol_computes_what_it_did(protocol, tiny_ucf, tmp_path, monkeypatch):
    """The logits of test videos after a tiny run in float32."""
    plain = Architecture("plain", "Plain", _build, Clips(), smallest=(5, 16))
    monkeypatch.setitem(ARCHITECTURES._known, "plain", plain)
    weights = None
    if PROTOCOLS[protocol].from_video:
        weights = save_untrained(tmp_path / "kinetics.safetensors", "plain")
    experiment = Experiment("plain", "rgb", "kinetics" if weights else "none", protocol, "ucf101")
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    changes = merge(TINY, {"training": {"learning_rate": 0.1}})
    done = run_one(experiment, space, root=tiny_ucf, weights=weights, changes=changes)
    found = done.predictions.logits[:3].ravel().astype(float).tolist()
    hold(f"protocol {protocol}", PROTOCOLS[protocol].version, found, 1e-3)
