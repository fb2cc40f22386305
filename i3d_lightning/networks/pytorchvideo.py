"""pytorchvideo's networks of video, by the names of its hub.

Frames are prepared as by its hub's pages (https://pytorch.org/hub/facebookresearch_pytorchvideo_x3d and its
like), and where it has none, as by the tests that its published accuracy is of
(https://github.com/facebookresearch/SlowFast, `configs/Kinetics/pytorchvideo`).
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from i3d_lightning.recipe import Clips, Training

from .adapter import AdaptedNetwork, library, set_batchnorm_momentum
from .registry import Architecture, register
from .torchvision import MVIT_TRAINING

SOURCE_FPS = 30
SECONDS = 10  # of a video of Kinetics, which is seen whole


class SlowFast(AdaptedNetwork):
    """A network of two pathways: one sees every frame of a window, the other one in four."""

    RATIO = 4

    def see(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Features of clips of one window's length, which pathways share as in the hub's `PackPathway`."""
        frames = clip.shape[2]
        slow = torch.linspace(0, frames - 1, frames // self.RATIO).long()
        return self.body([clip.index_select(2, slow.to(clip.device)), clip])


class AveragePool(nn.Module):
    """The average over all of time and a square of positions, or over all where there are fewer.

    The library's is built for clips of one length, and fails on frames that are smaller than its own.

    Args:
        side: Of the square, in positions.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c 1 i j"]:
        """Average in float32, as the CPU has no bf16 kernel."""
        frames, height, width = x.shape[2:]
        return F.avg_pool3d(x.float(), (frames, min(self.side, height), min(self.side, width)), stride=1)


def _build(
    classes: int, stream: str, clips: Clips, training: Training, *, name: str, last: str, kind: type
) -> AdaptedNetwork:
    body = _body(name, clips)
    for part, module in list(body.named_modules()):
        if isinstance(module, nn.AvgPool3d):
            body.set_submodule(part, AveragePool(module.kernel_size[-1]))  # type: ignore[index]
    head: Any = body.get_submodule(last.rpartition(".")[0])
    head.dropout = head.activation = None  # ours drops features; its softmax would make no logits
    set_batchnorm_momentum(body, training.batchnorm_momentum)
    return kind(body, last, clips.train_frames, classes, training.dropout)


def _body(name: str, clips: Clips) -> nn.Module:
    library("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch.jit.script, which it calls
        from pytorchvideo.models import hub

    make = getattr(hub, name)
    if not name.startswith("mvit"):
        return make()
    with unset_fake_temporarily() as fake, torch.device("cpu"):  # it computes its own shape with tensors
        body = make(spatial_size=clips.crop, temporal_size=clips.train_frames)
    return body._apply(lambda t: torch.empty(t.shape, dtype=t.dtype)) if fake else body


def _clips(frames: int, every: int, side: int, crop: int = 0) -> Clips:
    """Say what a network trained on `frames` frames takes, one `every` so many of 30 a second.

    pytorchvideo cuts `frames * every` frames out of a video, and of these takes frame
    `floor(i * (frames * every - 1) / (frames - 1))` for each `i` (`UniformTemporalSubsample`): the first, the
    last, and others at equal distances, which are a little longer than `every`. So the rate is a little lower
    than 30 / every; a timeline at it shows the same frames.
    """
    fps = SOURCE_FPS * (frames - 1) / (frames * every - 1)
    windows = -(-SECONDS * fps // frames)
    return Clips(
        fps=fps,
        short_side=side,
        crop=crop or side,
        train_frames=frames,
        test_frames=int(windows) * frames,
        interpolation="bilinear-float",
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
    )


def _register(
    name: str,
    title: str,
    clips: Clips,
    last: str = "blocks.5.proj",
    *,
    least: int = 4,
    every: int = 1,
    kind: type[AdaptedNetwork] = AdaptedNetwork,
    **facts: Any,
) -> None:
    convolutional: dict[str, Any] = {
        # On less, the last stage is one pixel wide, which oneDNN's bf16 gets wrong where a convolution has a
        # stride (https://github.com/pytorch/pytorch/issues/169688).
        "smallest": (least, 33),
        "multiple": (every, 1),
    }
    register(
        Architecture(
            name,
            title,
            partial(_build, name=name, last=last, kind=kind),
            clips,
            device_batch=8,  # on each of 8 GPUs, in the configurations above
            windows=True,
            library="pytorchvideo",
            last=last,
            **(convolutional | facts),
        )
    )


# Feichtenhofer, "X3D", https://arxiv.org/abs/2004.04730
_register("x3d_xs", "X3D-XS", _clips(4, 12, 182))
_register("x3d_s", "X3D-S", _clips(13, 6, 182))
_register("x3d_m", "X3D-M", _clips(16, 5, 256))
_register("x3d_l", "X3D-L", _clips(16, 5, 356))

# Feichtenhofer et al., "SlowFast networks", https://arxiv.org/abs/1812.03982
_register("slow_r50", "Slow-R50", _clips(8, 8, 256))
_SLOWFAST: dict[str, Any] = {"last": "blocks.6.proj", "every": SlowFast.RATIO, "kind": SlowFast}
_register("slowfast_r50", "SlowFast-R50", _clips(32, 2, 256), **_SLOWFAST)
_register("slowfast_r101", "SlowFast-R101", _clips(32, 2, 256), **_SLOWFAST)
_register("slowfast_16x8_r101_50_50", "SlowFast-R101 16x8", _clips(64, 2, 256), **_SLOWFAST)

# Carreira and Zisserman, https://arxiv.org/abs/1705.07750, on ResNet-50 after Wang et al., "Non-local neural
# networks", https://arxiv.org/abs/1711.07971, as is C2D; both halve time in a pool
_register("i3d_r50", "I3D-R50", _clips(8, 8, 256), "blocks.6.proj", every=2)
_register("c2d_r50", "C2D-R50", _clips(8, 8, 256), "blocks.6.proj", every=2)

# Tran et al., https://arxiv.org/abs/1711.11248 and https://arxiv.org/abs/1904.02811
_register("r2plus1d_r50", "R(2+1)D-R50", _clips(16, 4, 256))
_register("csn_r101", "CSN-R101", _clips(32, 2, 256), least=8)

# Fan et al., "Multiscale vision transformers", https://arxiv.org/abs/2104.11227. Its positions are learnt one
# by one, so its weights take no other clips. Below 36 px its keys are pooled to a single position.
_MVIT: dict[str, Any] = {
    "last": "head.proj",
    "smallest": (4, 36),
    "multiple": (2, 4),
    "one_size": True,
    "training": MVIT_TRAINING,  # that of MVIT_B_16x4_CONV in the configurations above, too
}
_register("mvit_base_16x4", "MViT-B 16x4", _clips(16, 4, 256, 224), **_MVIT)
_register("mvit_base_32x3", "MViT-B 32x3", _clips(32, 3, 256, 224), **_MVIT)
