"""pytorchvideo's networks give what the library gives: its own transforms and models, on a real clip."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i3d_lightning.datasets.clips import RGBFrames
from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.adapter import AdaptedNetwork, adapted_state
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.networks.pytorchvideo import AveragePool
from i3d_lightning.networks.registry import check_clips
from i3d_lightning.networks.size import size
from i3d_lightning.recipe import Clips, Training
from i3d_lightning.training.streams import FrozenStream, channels_last, prepare
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.frames import frames_shown
from i3d_lightning.video.transforms import centre_place, crop
from i3d_lightning.weights import WEIGHTS, apply_weights, create_model, load_weights

hub = pytest.importorskip("pytorchvideo.models.hub")

# The model zoo: frames, sample rate, top 1, millions of parameters, 1e9 multiply-adds of a view, and views.
ZOO = {
    "x3d_xs": (4, 12, 69.12, 3.79, 0.91, "10x3"),
    "x3d_s": (13, 6, 73.33, 3.79, 2.96, "10x3"),
    "x3d_m": (16, 5, 75.94, 3.79, 6.72, "10x3"),
    "x3d_l": (16, 5, 77.44, 6.15, 26.64, "10x3"),
    "slow_r50": (8, 8, 74.58, 32.45, 54.52, "10x3"),
    "slowfast_r50": (32, 2, 76.94, 34.57, 65.71, "10x3"),
    "slowfast_r101": (32, 2, 77.90, 62.83, 127.2, "10x3"),
    "slowfast_16x8_r101_50_50": (64, 2, 78.70, 53.77, 215.61, "10x3"),
    "i3d_r50": (8, 8, 73.27, 28.04, 37.53, "10x3"),
    "c2d_r50": (8, 8, 71.46, 24.33, 25.89, "10x3"),
    "r2plus1d_r50": (16, 4, 76.01, 28.11, 76.45, "10x3"),
    "csn_r101": (32, 2, 77.00, 22.21, 75.62, "10x3"),
    "mvit_base_16x4": (16, 4, 78.85, 36.61, 70.8, "5x1"),
    "mvit_base_32x3": (32, 3, 80.30, 36.61, 170.37, "5x1"),
}
SLOWFAST = [name for name in ZOO if name.startswith("slowfast")]
FIRST = "body.blocks.0.conv.conv_t.weight"
"""An X3D's first layer in our names."""
QUICK = ("slow_r50", "slowfast_r50", "r2plus1d_r50", "mvit_base_16x4")


def named(*quick: str, among=tuple(ZOO)) -> list:
    """Every name, those that take long among the slow tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in among]


def x3d(frames: int, side: int, depth: float = 2.2) -> nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    return create_x3d(
        input_clip_length=frames, input_crop_size=side, depth_factor=depth, head_activation=None
    )


def slow_r50(pool: tuple[int, ...]) -> nn.Module:
    from pytorchvideo.models.resnet import create_resnet

    return create_resnet(stem_conv_kernel_size=(1, 7, 7), model_depth=50, head_pool_kernel_size=pool)


def csn_r101(pool: tuple[int, ...]) -> nn.Module:
    from pytorchvideo.models.csn import create_csn

    return create_csn(model_depth=101, stem_pool=nn.MaxPool3d, head_pool_kernel_size=pool)


NO_SOFTMAX = {"head_activation": None}
FULL: dict[str, Callable[[], nn.Module]] = {
    name: partial(getattr(hub, name), **(NO_SOFTMAX if name.startswith(("x3d", "r2plus1d")) else {}))
    for name in ZOO
}
PATHWAYS = {"head_pool_kernel_sizes": ((2, 2, 2), (8, 2, 2))}
# The library's own builders, for clips of 64 px and so many frames.
SMALL: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "x3d_xs": (4, partial(x3d, 4, 64)),
    "x3d_s": (5, partial(x3d, 5, 64)),
    "x3d_m": (16, partial(x3d, 16, 64)),
    "x3d_l": (4, partial(x3d, 4, 64, 5.0)),
    "slow_r50": (4, partial(slow_r50, (4, 2, 2))),
    "slowfast_r50": (8, partial(hub.slowfast_r50, **PATHWAYS)),
    "slowfast_r101": (8, partial(hub.slowfast_r101, **PATHWAYS)),
    "i3d_r50": (8, partial(hub.i3d_r50, head_pool_kernel_size=(4, 2, 2))),
    "c2d_r50": (4, partial(hub.c2d_r50, head_pool_kernel_size=(2, 2, 2))),
    "r2plus1d_r50": (8, partial(hub.r2plus1d_r50, head_pool_kernel_size=(2, 2, 2), **NO_SOFTMAX)),
    "csn_r101": (16, partial(csn_r101, (2, 2, 2))),
    "mvit_base_16x4": (4, partial(hub.mvit_base_16x4, temporal_size=4, spatial_size=64)),
    "mvit_base_32x3": (8, partial(hub.mvit_base_32x3, temporal_size=8, spatial_size=64)),
}


def randomised(network: nn.Module, seen: Tensor | list[Tensor]) -> nn.Module:
    """Parameters and statistics are random, around what keeps a clip's traces.

    Logits are then spread, and a shift by a pixel moves them.
    """
    for name, parameter in network.named_parameters():
        if "pos_embed" in name or "cls_token" in name:
            nn.init.normal_(parameter, 0, 0.3)
        elif name.endswith(".bias") or (name.endswith("proj.weight") and "attn" not in name):
            nn.init.normal_(parameter, 0, 0.1)
    for module in network.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.momentum = 1.0
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms:
        with torch.no_grad():
            network.train()(list(seen) if isinstance(seen, list) else seen)
    for module in norms:
        module.running_mean += 0.3 * torch.randn_like(module.running_mean) * module.running_var.sqrt()
        module.running_var *= torch.empty_like(module.running_var).uniform_(0.5, 2)
    return network.eval()


@cache
def functional():
    """The library's transforms: one file of a package that does not import beside today's torchvision."""
    (root,) = importlib.util.find_spec("pytorchvideo").submodule_search_locations
    spec = importlib.util.spec_from_file_location(
        "ptv_functional", Path(root) / "transforms" / "functional.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seen_by_the_library(path: Path, name: str, clips: Clips) -> Tensor | list[Tensor]:
    """A clip as the hub's pages prepare it (https://pytorch.org/hub/facebookresearch_pytorchvideo_slowfast)."""
    from pytorchvideo.data.encoded_video import EncodedVideo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchvision.transforms._transforms_video import CenterCropVideo, NormalizeVideo

    frames, every = clips.train_frames, ZOO[name][1]
    video = EncodedVideo.from_path(str(path), decode_audio=False)
    clip = video.get_clip(start_sec=0, end_sec=Fraction(frames * every, 30))["video"]
    assert clip.shape[1] == frames * every
    clip = functional().uniform_temporal_subsample(clip, frames)
    clip = NormalizeVideo([0.45] * 3, [0.225] * 3)(clip / 255.0)
    clip = functional().short_side_scale(clip, clips.short_side)
    clip = CenterCropVideo(clips.crop)(clip)
    if name not in SLOWFAST:
        return clip[None]
    slow = torch.linspace(0, frames - 1, frames // 4).long()  # the page's PackPathway
    return [clip.index_select(1, slow)[None], clip[None]]


def ours(path: Path, network: VideoNetwork, clips: Clips) -> Tensor:
    clip = RGBFrames.of(clips).read(VideoFile(path), 0, clips.train_frames)
    clip = crop(clip, *centre_place(clip.shape, clips.crop, nearest=True), clips.crop)
    with torch.inference_mode():
        return network.pool_time(network(prepare(clip[None], clips)))[0]


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """A clip of 30 frames a second: a real one's pictures where there is one, else made ones."""
    import os

    path = tmp_path_factory.mktemp("thirty") / "clip.mp4"
    real = Path(os.environ.get("I3D_ASSETS", "")) / "clips" / "arm_wrestling.mp4"
    if real.is_file():
        with av.open(str(real)) as container:
            pictures = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(140))]  # noqa: B905
    else:
        random = np.random.default_rng(0)
        coarse = random.integers(0, 255, (140, 16, 21, 3), dtype=np.uint8)
        pictures = [np.kron(c, np.ones((16, 16, 1), np.uint8)) for c in coarse]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def small(name: str) -> Clips:
    frames = SMALL[name][0]
    return replace(ARCHITECTURES[name].clips, train_frames=frames, test_frames=frames, short_side=72, crop=64)


def at_the_librarys_rate(name: str, clips: Clips) -> Clips:
    """So many frames, one of `every`: as the network's own clips, but of another length."""
    frames, every = clips.train_frames, ZOO[name][1]
    return replace(clips, fps=30 * (frames - 1) / (frames * every - 1))


def assert_equal(reference: nn.Module, network: VideoNetwork, clips: Clips, seen, video: Path) -> None:
    """The same logits to a relative 1e-4, which are spread, and would be others, were frames shifted."""
    shifted = [clip.roll(1, -1) for clip in seen] if isinstance(seen, list) else seen.roll(1, -1)
    with torch.inference_mode():
        moved, expected = reference(shifted)[0], reference(seen)[0]
    found = ours(video, channels_last(network).eval(), clips)
    size = expected.abs().max()
    assert found.shape == (400,)
    assert expected.std() > 0.1 * size
    assert (moved - expected).abs().max() > 0.01 * size
    assert (found - expected).abs().max() <= 1e-4 * size


@pytest.mark.parametrize("name", named("x3d_xs"))
def test_published_weights_by_path_give_the_librarys_logits(name, video, tmp_path):
    torch.manual_seed(0)
    clips = ARCHITECTURES[name].clips
    assert at_the_librarys_rate(name, clips) == clips
    seen = seen_by_the_library(video, name, clips)
    reference = randomised(FULL[name](), seen)
    path = tmp_path / "published.pyth"
    torch.save({"model_state": reference.state_dict()}, path)
    network = create_model(name, pretrained=str(path))
    assert isinstance(network, AdaptedNetwork)
    assert_equal(reference, network, clips, seen, video)


@pytest.mark.parametrize("name", named(*QUICK, among=tuple(SMALL)))
def test_smaller_clips_are_seen_as_by_the_librarys_network_for_them(name, video):
    torch.manual_seed(0)
    clips = at_the_librarys_rate(name, small(name))
    seen = seen_by_the_library(video, name, clips)
    reference = randomised(SMALL[name][1](), seen)
    network = ARCHITECTURES[name].build(400, "rgb", clips, Training())
    network.load_state_dict(adapted_state(reference.state_dict(), ARCHITECTURES[name].last))
    assert_equal(reference, network, clips, seen, video)


@pytest.mark.parametrize("name", named("x3d_xs", "slowfast_r50", "mvit_base_16x4"))
def test_full_ft_reaches_the_first_layer_and_fixed_freezes_everything(name):
    torch.manual_seed(0)
    clips = small(name if name in SMALL else "slowfast_r101")
    training = Training(dropout=0.3, batchnorm_momentum=0.07)
    network = ARCHITECTURES[name].build(7, "rgb", clips, training)
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {m.momentum for m in norms} <= {0.07}
    dropouts = {m.p for m in network.modules() if isinstance(m, nn.Dropout) and m.p}
    assert dropouts == {0.3}
    assert not any(isinstance(m, nn.Softmax) for m in network.modules())
    clip = torch.randint(0, 255, (2, 3, clips.train_frames, 64, 64), dtype=torch.uint8)
    network.train()
    logits = network(prepare(clip, clips))
    assert logits.shape == (2, 7, 1)
    logits.square().mean().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert gradients[0].abs().max() > 0

    before = {key: value.clone() for key, value in network.state_dict().items()}
    kept: dict[int, Tensor] = {}
    frozen = FrozenStream(network, clips, lambda index, feature, partly: kept.update({index: feature}))
    frozen.train()
    batch = {
        "groups": [{"clips": (clip,), "index": torch.tensor([4, 5])}],
        "unreadable": {},
        "partly": {},
        "looped": [],
    }
    with torch.inference_mode():
        frozen.predict_step(batch, 0)
    assert not any(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in frozen.network.state_dict().items())
    assert set(kept) == {4, 5} and kept[4].shape == (network.feature_size,)
    assert (kept[4] - kept[5]).abs().max() > 0


def test_a_longer_clip_is_the_mean_of_its_windows():
    torch.manual_seed(0)
    clips = small("slowfast_r50")
    clip = torch.randn(1, 3, 20, 64, 64)
    network = randomised(ARCHITECTURES["slowfast_r50"].build(5, "rgb", clips, Training()), clip)
    with torch.inference_mode():
        seen = network.pool_time(network(clip))
        parts = [network(clip[:, :, start : start + 8])[..., 0] for start in (0, 8, 12)]
    torch.testing.assert_close(seen, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ZOO)
def test_frames_are_those_of_uniform_temporal_subsampling(name, video):
    frames, every, *_ = ZOO[name]
    clips = ARCHITECTURES[name].clips
    assert clips.train_frames == frames
    expected = functional().uniform_temporal_subsample(torch.arange(frames * every), frames, temporal_dim=0)
    _, shown = frames_shown(video, clips.fps)
    assert shown[:frames] == expected.tolist()
    assert clips.test_frames % frames == 0 and clips.test_frames / clips.fps >= 10


@pytest.mark.parametrize("name", named("x3d_xs", "mvit_base_16x4"))
def test_what_the_model_zoo_says(name):
    _, _, top1, parameters, multiply_adds, views = ZOO[name]
    entry = WEIGHTS[f"{name}-kinetics400"]
    assert (entry.top1, entry.views, entry.sha256) == (top1, views, None)
    assert entry.location == _url(name)
    found = size(ARCHITECTURES[name])
    assert found.parameters / 1e6 == pytest.approx(parameters, abs=0.005)
    assert found.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.1)  # its counter has more kinds


def _url(name: str) -> str:
    """Where the hub's own file has it."""
    import pytorchvideo.models.hub as package

    modules = ("csn", "r2plus1d", "resnet", "slowfast", "vision_transformers", "x3d")
    for module in modules:
        paths = importlib.import_module(f"{package.__name__}.{module}").checkpoint_paths
        if name in paths:
            return paths[name]
    raise KeyError(name)


def test_every_network_of_the_hub_for_kinetics_is_here():
    ours = {a.name for a in ARCHITECTURES if a.library == "pytorchvideo"}
    other = {"slow_r50_detection", "slowfast_r50_detection", "mvit_base_16"}  # of AVA's boxes, and of images
    mobile = {"efficient_x3d_xs", "efficient_x3d_s"}  # x3d_xs and x3d_s, rewritten for phones
    theirs = {name for name, made in vars(hub).items() if callable(made) and not name.startswith("_")}
    assert ours == set(ZOO) == theirs - other - mobile


def test_weights_that_networks_have_alike_ask_which(tmp_path):
    path = tmp_path / "x3d.pyth"
    torch.save({"model_state": hub.x3d_s().state_dict(), "epoch": 3}, path)
    with pytest.raises(InputError, match=r"x3d_xs and x3d_s and x3d_m have alike: say which.*--architecture"):
        load_weights(str(path))
    weights = load_weights(str(path), architecture="x3d_s")
    assert (weights.architecture, weights.stream, weights.classes) == ("x3d_s", "rgb", 400)
    network = ARCHITECTURES["x3d_s"].build(5, "rgb", small("x3d_s"), Training())
    before = network.classifier.weight.clone()
    apply_weights(network, weights, classifier=False)
    assert torch.equal(network.classifier.weight, before)
    assert torch.equal(network.body.blocks[0].conv.conv_t.weight, weights.state[FIRST])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("slowfast_r50", {"train_frames": 30, "test_frames": 30}, "takes multiples of 4"),
        ("mvit_base_16x4", {"crop": 222}, "takes multiples of 4"),
        ("mvit_base_16x4", {"test_crop": 256}, "is built for one size"),
        ("csn_r101", {"train_frames": 4}, "takes 8 or more"),
        ("x3d_m", {"crop": 32}, "takes 33 or more"),
        ("x3d_m", {"test_frames": 15}, r"sees windows of clips\.train_frames \(16\)"),
    ],
)
def test_clips_that_do_not_fit_are_refused(name, changes, message):
    with pytest.raises(InputError, match=message):
        check_clips(ARCHITECTURES[name], replace(ARCHITECTURES[name].clips, **changes))


def test_bf16_on_the_cpu():
    """There is no bf16 kernel of the average pool, which gives the float32 mean of what it sees."""
    network = ARCHITECTURES["x3d_xs"].build(5, "rgb", small("x3d_xs"), Training()).eval()
    pool, seen = next(m for m in network.modules() if isinstance(m, AveragePool)), []
    pool.register_forward_hook(lambda module, given, found: seen.append((*given, found)))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(1, 3, 4, 64, 64)).isfinite().all()
    ((given, found),) = seen
    assert given.dtype == torch.bfloat16
    torch.testing.assert_close(found.flatten(), given.float().mean((2, 3, 4)).flatten())
