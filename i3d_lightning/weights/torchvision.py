"""torchvision's weights of its networks of video.

What they have seen: its own were trained on Kinetics from scratch, MViT's are ported from its authors, who
did the same, and Video Swin's from theirs, who started from ImageNet (https://arxiv.org/abs/2106.13230). A
test compares the rest with torchvision's `Weights`.
"""

from __future__ import annotations

from typing import NamedTuple

from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.weights.registry import Entry, TorchHub, kinetics400_labels, register

_MODELS = "https://download.pytorch.org/models"
_RESNETS, _S3D = "https://arxiv.org/abs/1711.11248", "https://arxiv.org/abs/1712.04851"
_MVIT, _MVIT2 = "https://arxiv.org/abs/2104.11227", "https://arxiv.org/abs/2112.01526"
_SWIN = "https://arxiv.org/abs/2106.13230"
_OWN, _PORTED = "BSD-3-Clause", "Apache-2.0"


class _Published(NamedTuple):
    architecture: str
    pretraining: str
    weights: str
    file: str
    top1: float
    top5: float
    views: str
    licence: str
    citation: str


_KINETICS, _22K = "KINETICS400_V1", "KINETICS400_IMAGENET22K_V1"

# fmt: off
_ALL = (
    _Published("r3d_18", "kinetics", f"R3D_18_Weights.{_KINETICS}",
               "r3d_18-b3b3357e.pth", 63.200, 83.479, "5x1", _OWN, _RESNETS),
    _Published("mc3_18", "kinetics", f"MC3_18_Weights.{_KINETICS}",
               "mc3_18-a90a0ba3.pth", 63.960, 84.130, "5x1", _OWN, _RESNETS),
    _Published("r2plus1d_18", "kinetics", f"R2Plus1D_18_Weights.{_KINETICS}",
               "r2plus1d_18-91a641e6.pth", 67.463, 86.175, "5x1", _OWN, _RESNETS),
    _Published("s3d", "kinetics", f"S3D_Weights.{_KINETICS}",
               "s3d-d76dad2f.pth", 68.368, 88.050, "1x1", _OWN, _S3D),
    _Published("mvit_v1_b", "kinetics", f"MViT_V1_B_Weights.{_KINETICS}",
               "mvit_v1_b-dbeb1030.pth", 78.477, 93.582, "5x1", _PORTED, _MVIT),
    _Published("mvit_v2_s", "kinetics", f"MViT_V2_S_Weights.{_KINETICS}",
               "mvit_v2_s-ae3be167.pth", 80.757, 94.665, "5x1", _PORTED, _MVIT2),
    _Published("swin3d_t", "imagenet+kinetics", f"Swin3D_T_Weights.{_KINETICS}",
               "swin3d_t-7615ae03.pth", 77.715, 93.519, "12x1", _PORTED, _SWIN),
    _Published("swin3d_s", "imagenet+kinetics", f"Swin3D_S_Weights.{_KINETICS}",
               "swin3d_s-da41c237.pth", 79.521, 94.158, "12x1", _PORTED, _SWIN),
    _Published("swin3d_b", "imagenet+kinetics", f"Swin3D_B_Weights.{_KINETICS}",
               "swin3d_b_1k-24f7c7c6.pth", 79.427, 94.386, "12x1", _PORTED, _SWIN),
    _Published("swin3d_b", "imagenet22k+kinetics", f"Swin3D_B_Weights.{_22K}",
               "swin3d_b_22k-7c6ae6fa.pth", 81.643, 95.574, "12x1", _PORTED, _SWIN),
)
# fmt: on

for _p in _ALL:
    register(
        Entry(
            f"{_p.architecture}-{_p.pretraining.replace('+', '-')}400",
            architecture=_p.architecture,
            stream="rgb",
            pretraining=_p.pretraining,
            top1=_p.top1,
            top5=_p.top5,
            views=_p.views,
            source=f"torchvision's {_p.weights}",
            location=TorchHub(f"{_MODELS}/{_p.file}"),
            sha256=_p.file.removesuffix(".pth").rpartition("-")[2],
            licence=_p.licence,
            labels=kinetics400_labels,
            clips=ARCHITECTURES[_p.architecture].clips,
            citation=_p.citation,
        )
    )
