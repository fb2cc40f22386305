"""torchvision's networks of video, by its own names.

Frames are prepared as by the `transforms()` of its weights. Clip lengths and rates are those that their
accuracy is given for, in their `meta`, as by its reference scripts
(https://github.com/pytorch/vision/tree/main/references/video_classification). A test compares both with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i3d_lightning.recipe import Changes, Clips, Training

from .adapter import AdaptedNetwork, library, set_batchnorm_momentum
from .registry import Architecture, register

Fit = Callable[[nn.Module, Clips], None]


def _build(
    classes: int,
    stream: str,
    clips: Clips,
    training: Training,
    *,
    name: str,
    last: str,
    dropouts: tuple[str, ...],
    fit: Fit | None,
) -> AdaptedNetwork:
    library("torchvision")
    from torchvision.models import video

    body = getattr(video, name)(weights=None)
    if fit is not None:
        fit(body, clips)
    set_batchnorm_momentum(body, training.batchnorm_momentum)
    return AdaptedNetwork(body, last, clips.train_frames, classes, training.dropout, dropouts)


def _register(
    name: str,
    title: str,
    clips: Clips,
    last: str,
    dropouts: tuple[str, ...] = (),
    fit: Fit | None = None,
    **facts: Any,
) -> None:
    build = partial(_build, name=name, last=last, dropouts=dropouts, fit=fit)
    register(Architecture(name, title, build, clips, windows=True, library="torchvision", last=last, **facts))


# Tran et al., "A closer look at spatiotemporal convolutions", https://arxiv.org/abs/1711.11248. Frames are
# squeezed to 128x171 px, whatever their shape.
RESNET = Clips(
    fps=15,
    short_side=128,
    aspect=4 / 3,
    crop=112,
    train_frames=16,
    test_frames=150,
    interpolation="bilinear",
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
)
for _name, _title in (("r3d_18", "R3D-18"), ("mc3_18", "MC3-18"), ("r2plus1d_18", "R(2+1)D-18")):
    _register(_name, _title, RESNET, "fc", smallest=(8, 32), device_batch=24)


class _AveragePool(nn.Module):
    """S3D's average over two time steps and 7x7 positions, or over all where there are fewer."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = [min(size, most) for size, most in zip(x.shape[2:], (2, 7, 7), strict=True)]
        return F.avg_pool3d(x.float(), kernel, stride=1)  # of which the CPU has no bf16 kernel


def _fit_s3d(body: nn.Module, clips: Clips) -> None:
    body.avgpool = _AveragePool()


# Xie et al., "Rethinking spatiotemporal feature learning", https://arxiv.org/abs/1712.04851. Its fewest
# frames are torchvision's; frames smaller than 224 px are taken thanks to the pool above.
S3D = Clips(
    fps=15,
    short_side=256,
    aspect=1.0,
    crop=224,
    train_frames=128,
    test_frames=150,
    interpolation="bilinear",
    mean=RESNET.mean,
    std=RESNET.std,
)
_register("s3d", "S3D", S3D, "classifier.1", ("classifier.0",), _fit_s3d, smallest=(14, 32))


def _fit_mvit(body: Any, clips: Clips) -> None:
    """Lay MViT out for clips of another length or size than its weights'.

    Positions are learnt one by one, and are then new, in its first version; in its second they are relative,
    and torchvision interpolates them.
    """
    encoding, (frames, rows, columns) = body.pos_encoding, body.conv_proj.stride
    encoding.temporal_size = clips.train_frames // frames
    encoding.spatial_size = (clips.crop // rows, clips.crop // columns)
    if encoding.spatial_pos is None:
        return
    positions = encoding.spatial_size[0] * encoding.spatial_size[1]
    for name, length in (("temporal_pos", encoding.temporal_size), ("spatial_pos", positions)):
        before = getattr(encoding, name)
        if len(before) != length:
            new = torch.empty(length, before.shape[1])
            setattr(encoding, name, nn.Parameter(nn.init.trunc_normal_(new, std=0.02)))  # as torchvision's


# Fan et al., "Multiscale vision transformers", https://arxiv.org/abs/2104.11227, and Li et al., "MViTv2",
# https://arxiv.org/abs/2112.01526. Below 36 px its keys are pooled to a single position.
MVIT = Clips(
    fps=7.5,
    short_side=256,
    crop=224,
    train_frames=16,
    test_frames=75,
    interpolation="bilinear",
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
)
# As on Kinetics (MViT, appendix): 1.6e-3 for 512 clips a step; that is 1e-4 for 16 videos seen twice, as in
# https://github.com/facebookresearch/SlowFast/blob/main/configs/Kinetics/MVITv2_S_16x4.yaml.
# Norms and biases are not decayed there; 30 of 200 epochs warm up.
MVIT_TRAINING: Changes = {
    "optimizer": "adamw",
    "learning_rate": 3e-4,
    "weight_decay": 0.05,
    "norm_decay": False,
    "warmup_steps": 750,
    "schedule": "cosine",
}
for _name, _title in (("mvit_v1_b", "MViTv1-B"), ("mvit_v2_s", "MViTv2-S")):
    _register(
        _name,
        _title,
        MVIT,
        "head.1",
        ("head.0",),
        _fit_mvit,
        smallest=(4, 36),
        multiple=(2, 4),
        one_size=True,
        device_batch=8,
        training=MVIT_TRAINING,
    )

# Liu et al., "Video Swin transformer", https://arxiv.org/abs/2106.13230; it pads clips of any size.
SWIN = Clips(
    fps=15,
    short_side=256,
    crop=224,
    train_frames=32,
    test_frames=150,
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
# As on Kinetics, section 4.1: for 64 clips a step, and of the layers that are new; 2.5 of 30 epochs warm up.
SWIN_TRAINING: Changes = {
    "optimizer": "adamw",
    "learning_rate": 3e-4,
    "weight_decay": 0.02,
    "warmup_steps": 400,
    "schedule": "cosine",
}
for _name, _title in (
    ("swin3d_t", "Video Swin-T"),
    ("swin3d_s", "Video Swin-S"),
    ("swin3d_b", "Video Swin-B"),
):
    _register(_name, _title, SWIN, "head", smallest=(2, 32), device_batch=8, training=SWIN_TRAINING)
