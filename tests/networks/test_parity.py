"""The numbers: against committed logits, the public PyTorch implementation, and the authors' weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i3d_lightning.networks.i3d import I3D
from i3d_lightning.recipe import Clips
from i3d_lightning.training.precision import resolve
from i3d_lightning.training.streams import channels_last, prepare
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.transforms import centre_place, crop
from i3d_lightning.weights import apply_weights, load_weights
from i3d_lightning.weights.pytorch_i3d import convert

# Logits (4 classes, 2 time steps) of `seeded_state` on `seeded_clip`, computed in float64 by the public
# PyTorch I3D, its last pool shrunk to the grid.
GOLDEN = [
    [5.49227125, 3.51140733],
    [14.37447451, 8.67053082],
    [-0.04539296, -0.63650974],
    [0.38321454, 0.55085169],
]


def seeded_state(network: nn.Module) -> dict[str, Tensor]:
    """A state dict in which every tensor matters, the same on any machine and version of torch."""
    draw = np.random.RandomState(0)  # numpy freezes its stream
    state = {}
    for name, tensor in network.state_dict().items():
        shape = tuple(tensor.shape)
        if tensor.ndim > 1:
            value = draw.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            value = draw.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * draw.standard_normal(shape)
        state[name] = torch.from_numpy(np.asarray(value)).to(tensor.dtype)
    return state


def seeded_clip() -> Tensor:
    """A flow clip with odd and even sides, so that both kinds of padding occur."""
    clip = np.random.RandomState(1).uniform(-1, 1, (1, 2, 19, 45, 60))
    return torch.from_numpy(clip.astype(np.float32))


@pytest.fixture(scope="module")
def seeded() -> I3D:
    network = I3D(4, channels=2).eval()
    network.load_state_dict(seeded_state(network))
    return network


@torch.no_grad()
def test_golden_logits(seeded):
    golden = torch.tensor([GOLDEN])
    difference = (seeded(seeded_clip()) - golden).abs().max()
    assert difference <= 1e-5 * golden.max()


@torch.no_grad()
def test_channels_last_changes_nothing(seeded):
    network = I3D(4, channels=2).eval().to(memory_format=torch.channels_last_3d)
    network.load_state_dict(seeded.state_dict())
    clip = seeded_clip().contiguous(memory_format=torch.channels_last_3d)
    expected = seeded(seeded_clip())
    assert (network(clip) - expected).abs().max() <= 1e-5 * expected.max()


NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
@torch.no_grad()
def test_bf16_autocast_is_close_to_float32(seeded, device):
    network = I3D(4, channels=2).eval().to(device, memory_format=torch.channels_last_3d)
    network.load_state_dict(seeded.state_dict())
    clip = seeded_clip().to(device, memory_format=torch.channels_last_3d)
    with torch.autocast(device, dtype=torch.bfloat16):
        logits = network(clip)
    assert logits.dtype == torch.float32
    expected = torch.tensor([GOLDEN])
    assert (logits.cpu() - expected).abs().max() <= 0.02 * expected.max()


@pytest.fixture(scope="module")
def reference(assets: Path) -> ModuleType:
    """The public PyTorch I3D, run beside the project."""
    spec = importlib.util.spec_from_file_location("public_i3d", assets / "reference" / "pytorch_i3d.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
@pytest.mark.parametrize("channels", [3, 2])
def test_agrees_with_the_public_implementation(reference, channels):
    torch.manual_seed(0)
    theirs = reference.InceptionI3d(400, in_channels=channels).eval()
    for module in theirs.modules():  # by default it would hide batch normalisation: mean 0, variance 1
        if isinstance(module, nn.BatchNorm3d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        elif isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    ours = I3D(400, channels=channels).eval()
    ours.load_state_dict(convert(theirs.state_dict()))
    clip = torch.rand(1, channels, 17, 224, 224) * 2 - 1
    expected = theirs(clip)
    assert expected.shape == (1, 400, 2)
    assert (ours(clip) - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.no_grad()
def test_agrees_with_the_published_logits_of_the_authors_clip(assets):
    with av.open(assets / "clips" / "v_CricketShot_g04_c01_rgb.gif") as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.shape == (79, 224, 224, 3)
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 127.5 - 1
    weights = load_weights(str(assets / "weights" / "i3d-kinetics-400.ckpt"))
    network = I3D(400).eval()
    apply_weights(network, weights, classifier=True)
    logits = network(clip).mean(2)[0]
    expected = torch.from_numpy(np.load(assets / "clips" / "v_CricketShot_g04_c01_rgb.logits.npy")).flatten()
    assert (logits - expected).abs().max() <= 1e-4
    assert weights.labels is not None
    assert weights.labels[int(logits.argmax())] == "playing cricket"
    assert logits.softmax(0).max() == pytest.approx(0.9886, abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(resolve("auto") == "float32", reason="this device has no bf16 instructions")
def test_bf16_of_real_clips_gives_the_classes_of_float32(assets):
    """Forty clips of UCF-101: the same class wherever two logits are apart, and nearly the probabilities."""
    network = I3D(400).eval()
    apply_weights(network, load_weights(str(assets / "weights/i3d-kinetics-400.ckpt")), classifier=True)
    channels_last(network)
    videos = sorted((assets / "ucf101/videos").rglob("*.avi"))[::9][:40]
    assert len(videos) == 40
    decided = 0
    for video in videos:
        clip = read_clip(video, 10, 32, fps=25.0, short_side=256)
        clip = prepare(crop(clip, *centre_place(clip.shape, 224), 224)[None], Clips())
        with torch.inference_mode():
            exact = network(clip).mean(2)[0]
            with torch.autocast("cpu", torch.bfloat16):
                rounded = network(clip).mean(2)[0]
        best, second = exact.topk(2).values.tolist()
        if best - second > 0.25:
            decided += 1
            assert rounded.argmax() == exact.argmax(), video.name
        assert (rounded.softmax(0) - exact.softmax(0)).abs().max() < 0.03, video.name
    assert decided > 30
