"""torchvision's networks beside torchvision itself: its transforms, its models, what it says of its weights.

Weights are random, as nothing is downloaded: statistics of normalisation too, so that none of it can hide.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models, video

from i3d_lightning.datasets.clips import RGBFrames, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.adapter import AdaptedNetwork
from i3d_lightning.networks.registry import check_clips, shapes, unallocated
from i3d_lightning.recipe import Clips, Training
from i3d_lightning.training.streams import FrozenStream, channels_last, prepare
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.weights import apply_weights, create_model, list_weights, load_weights

NAMES = [a.name for a in ARCHITECTURES if a.library == "torchvision"]
ENTRIES = [entry for entry in list_weights() if entry.architecture in NAMES]
QUICK = ("r3d_18", "mc3_18", "r2plus1d_18")
MARKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


def published(entry):
    """The member of torchvision's enumeration that an entry says it is."""
    kind, member = entry.source.removeprefix("torchvision's ").split(".")
    return getattr(video, kind)[member]


def test_every_network_and_all_weights_of_torchvision_are_here():
    assert sorted(NAMES) == sorted(list_models(module=video))
    theirs = {str(weights) for name in NAMES for weights in get_model_weights(name)}
    assert {entry.source.removeprefix("torchvision's ") for entry in ENTRIES} == theirs
    assert len(ENTRIES) == 10


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_all_that_is_said_of_weights_is_what_torchvision_says(entry):
    weights = published(entry)
    meta, preset, clips = weights.meta, weights.transforms(), entry.clips
    assert entry.location.url == weights.url
    assert weights.url.endswith(f"-{entry.sha256}.pth")
    accuracy = meta["_metrics"]["Kinetics-400"]
    assert (entry.top1, entry.top5) == (accuracy["acc@1"], accuracy["acc@5"])
    assert list(entry.class_names) == meta["categories"]
    assert preset.crop_size == [clips.crop] * 2
    size = [clips.short_side, round(clips.short_side * clips.aspect)] if clips.aspect else [clips.short_side]
    assert preset.resize_size == size
    assert (tuple(preset.mean), tuple(preset.std)) == (clips.mean, clips.std)
    assert (preset.interpolation.value, clips.interpolation) == ("bilinear", "bilinear")
    said = dict(re.findall(r"`(\w+)=([\d.]+)`", meta["_docs"]))
    assert (float(said["frame_rate"]), int(said["clip_len"])) == (clips.fps, clips.train_frames)
    assert entry.views == f"{said['clips_per_video']}x1"
    architecture = ARCHITECTURES[entry.architecture]
    if architecture.name == "s3d":
        assert architecture.smallest[0] == meta["min_temporal_size"]
    assert architecture.one_size == (meta.get("min_temporal_size") == clips.train_frames)
    with unallocated():
        network = architecture.build(400, "rgb", clips, Training())
    assert sum(p.numel() for p in network.parameters()) == meta["num_params"]


def randomised(model: nn.Module) -> nn.Module:
    """Change all that starts as a constant, and spread the logits."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    for name, parameter in model.named_parameters():
        if "pos" in name or "token" in name or "position" in name:
            nn.init.normal_(parameter, std=0.5)
    last = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv3d))][-1]
    nn.init.normal_(last.weight, std=0.2)
    if last.bias is not None:
        nn.init.normal_(last.bias, std=0.2)
    if isinstance(model, video.S3D):
        calibrate(model.features)
    return model.eval()


@torch.no_grad()
def calibrate(layers: nn.Module) -> None:
    """Make statistics near to those of clips: through so many layers as S3D's their traces fade else."""
    norms = [module for module in layers.modules() if isinstance(module, nn.BatchNorm3d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    layers.train()(torch.randn(2, 3, 16, 64, 64))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.running_mean += 0.3 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.5, 2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> list[Path]:
    """Two videos wider than 4:3, larger than what networks see, of shapes and noise that move."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(2):
        random = np.random.default_rng(seed)
        ground = random.integers(0, 256, (90, 160, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        with av.open(str(folder / f"{seed}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 360, "yuv420p", 4_000_000
            for t in range(40):
                frame = np.roll(ground, (3 * t, (5 - 9 * seed) * t), (0, 1))
                frame[40 + 4 * t : 140 + 4 * t, 60:200] = (220, 30 + 4 * t, 90 * seed)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    return [folder / "0.mp4", folder / "1.mp4"]


@torch.no_grad()
def ours(network: AdaptedNetwork, paths: list[Path], clips: Clips) -> Tensor:
    """Logits of videos' first windows, each seen as tests see videos."""
    clips = replace(clips, test_frames=clips.train_frames)
    whole = WholeVideos([Video(str(p), p, 0, "") for p in paths], [RGBFrames.of(clips)], clips)
    batch = torch.stack([whole[i]["clips"][0] for i in range(len(paths))])
    return network.pool_time(network(prepare(batch, clips)))


@torch.no_grad()
def theirs(model: nn.Module, preset: nn.Module, paths: list[Path], clips: Clips) -> Tensor:
    """Logits of the same frames by torchvision's own transforms and model."""
    frames = [read_clip(p, 0, clips.train_frames, fps=clips.fps, short_side=None) for p in paths]
    return model(torch.stack([preset(clip.movedim(0, 1)) for clip in frames]))


def adapted(name: str, model: nn.Module, tmp_path: Path, clips: Clips) -> AdaptedNetwork:
    """Our network with the weights of torchvision's, saved as torchvision's are."""
    torch.save(model.state_dict(), tmp_path / "published.pth")
    weights = load_weights(str(tmp_path / "published.pth"))
    assert (weights.architecture, weights.stream, weights.classes) == (name, "rgb", 400)
    network = ARCHITECTURES[name].build(400, "rgb", clips, Training())
    apply_weights(network, weights, classifier=True)
    return channels_last(network).eval()


def check_equal(found: Tensor, expected: Tensor) -> None:
    """Two videos' logits agree to a relative 1e-4, are spread, and are not those of just any video."""
    difference = (found - expected).abs().max()
    assert difference <= 1e-4 * expected.abs().max()
    assert expected.std(dim=1).min() > 0.1 * expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 100 * difference
    assert (expected[0] - expected[1]).abs().max() > 0.02 * expected.abs().max()


SMALL = {"s3d": {"train_frames": 14}, "mvit_v1_b": {}, "mvit_v2_s": {}}
"""Short clips of those that torchvision itself takes at one size alone, or at one size and length."""


@pytest.mark.parametrize("name", MARKED)
def test_logits_are_torchvisions_on_small_clips(name, videos, tmp_path):
    model = randomised(getattr(video, name)())
    smaller = {"short_side": 73, "crop": 62, "train_frames": 8}
    clips = replace(ARCHITECTURES[name].clips, **SMALL.get(name, smaller))
    size = (clips.short_side, round(clips.short_side * clips.aspect)) if clips.aspect else (clips.short_side,)
    preset = get_model_weights(name).DEFAULT.transforms(resize_size=size, crop_size=(clips.crop, clips.crop))
    network = adapted(name, model, tmp_path, clips)
    check_equal(ours(network, videos, clips), theirs(model, preset, videos, clips))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_torchvisions_on_the_clips_of_its_weights(name, videos, tmp_path, request):
    model = randomised(getattr(video, name)())
    clips = ARCHITECTURES[name].clips
    network = adapted(name, model, tmp_path, clips)
    preset = get_model_weights(name).DEFAULT.transforms()
    check_equal(ours(network, videos, clips), theirs(model, preset, videos, clips))
    real = request.getfixturevalue("assets") / "clips"
    paths = [real / "arm_wrestling.mp4", real / "clean_and_jerk.mp4"]
    check_equal(ours(network, paths, clips), theirs(model, preset, paths, clips))


@pytest.mark.parametrize("name", MARKED)
def test_weights_of_a_path_start_a_network_of_other_classes_that_learns_to_its_first_layer(name, tmp_path):
    model = randomised(getattr(video, name)())
    torch.save(model.state_dict(), tmp_path / "published.pth")
    network = create_model(name, classes=7, pretrained=str(tmp_path / "published.pth"))
    assert network.classifier.weight.shape == (7, network.feature_size)
    first = next(iter(model.state_dict()))
    for key, tensor in model.state_dict().items():
        if not key.startswith(ARCHITECTURES[name].last):
            assert torch.equal(network.state_dict()[f"body.{key}"], tensor), key
    same = create_model(name, pretrained=str(tmp_path / "published.pth"))
    assert torch.equal(
        same.classifier.weight.flatten(), model.state_dict()[f"{ARCHITECTURES[name].last}.weight"].flatten()
    )
    small = small_clips(name)
    learner = ARCHITECTURES[name].build(7, "rgb", small, Training(dropout=0.0)).train()
    clip = torch.randn(2, 3, small.train_frames, small.crop, small.crop)
    F.cross_entropy(learner.pool_time(learner(clip)), torch.tensor([0, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())
    entry_layer = learner.get_parameter(
        f"body.{first}" if not first.startswith("pos") else "body.conv_proj.weight"
    )
    assert entry_layer.grad.abs().max() > 0


def small_clips(name: str) -> Clips:
    """The shortest and smallest clips that a network takes."""
    architecture = ARCHITECTURES[name]
    frames, side = architecture.smallest
    return replace(
        architecture.clips, short_side=side, crop=side, train_frames=frames, test_frames=2 * frames
    )


@pytest.mark.parametrize("name", MARKED)
def test_nothing_of_a_frozen_network_changes(name):
    clips = small_clips(name)
    network = ARCHITECTURES[name].build(3, "rgb", clips, Training())
    randomised(network.body)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    kept = {}
    stream = FrozenStream(network, clips, lambda index, feature, partly: kept.__setitem__(index, feature))
    stream.train()
    assert not any(p.requires_grad for p in stream.parameters())
    batch = torch.randint(0, 256, (2, 3, clips.test_frames, clips.crop, clips.crop), dtype=torch.uint8)
    group = {"clips": [batch], "index": torch.tensor([4, 5])}
    with torch.inference_mode():
        stream.predict_step({"groups": [group], "unreadable": {}, "partly": {}, "looped": []}, 0)
    after = network.state_dict()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    with torch.inference_mode():  # two windows, whose features are averaged
        parts = [network.see(prepare(part, clips)) for part in batch.chunk(2, dim=2)]
    torch.testing.assert_close(
        torch.stack([kept[4], kept[5]]), (parts[0] + parts[1]) / 2, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", MARKED)
def test_batchnorm_and_dropout_are_those_of_the_recipe(name):
    with unallocated():
        network = ARCHITECTURES[name].build(
            3, "rgb", ARCHITECTURES[name].clips, Training(batchnorm_momentum=0.03, dropout=0.25)
        )
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert all(norm.momentum == 0.03 for norm in norms)
    assert bool(norms) == (name in (*QUICK, "s3d"))
    drops = [m.p for m in network.modules() if isinstance(m, nn.Dropout) and m.p]
    assert drops == [0.25]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mvit_v2_s", {"train_frames": 15}, "train_frames is 15, but mvit_v2_s takes multiples of 2"),
        ("mvit_v2_s", {"crop": 222}, "crop is 222, but mvit_v2_s takes multiples of 4"),
        ("mvit_v1_b", {"test_crop": 256}, "test_crop is 256, but mvit_v1_b is built for one size"),
        ("swin3d_t", {"test_frames": 16}, r"test_frames is 16, but swin3d_t sees windows of .* \(32\)"),
        ("s3d", {"train_frames": 13}, "train_frames is 13, but s3d takes 14 or more"),
        ("r3d_18", {"crop": 24}, "crop is 24, but r3d_18 takes 32 or more"),
    ],
)
def test_clips_that_a_network_does_not_take_are_refused(name, changes, message):
    architecture = ARCHITECTURES[name]
    check_clips(architecture, architecture.clips)
    with pytest.raises(InputError, match=message):
        check_clips(architecture, replace(architecture.clips, **changes))


def test_positions_of_another_size_are_refused_and_relative_ones_interpolated(tmp_path):
    """MViT's first version learns a vector for each position; its second one for each distance."""
    small = replace(ARCHITECTURES["mvit_v1_b"].clips, crop=64, short_side=64)
    usual = dict(shapes(ARCHITECTURES["mvit_v1_b"], 400))
    with unallocated():
        first, second = (
            ARCHITECTURES[n].build(400, "rgb", small, Training()) for n in ("mvit_v1_b", "mvit_v2_s")
        )
    changed = {n for n, t in first.state_dict().items() if t.shape != usual[n]}
    assert changed == {"body.pos_encoding.spatial_pos"}
    assert {n: t.shape for n, t in second.state_dict().items()} == shapes(ARCHITECTURES["mvit_v2_s"], 400)
