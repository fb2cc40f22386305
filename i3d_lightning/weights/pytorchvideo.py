"""pytorchvideo's weights of its networks: trained on Kinetics-400 from scratch.

Files and their accuracy are those of its model zoo
(https://github.com/facebookresearch/pytorchvideo/blob/main/docs/source/model_zoo.md), which names views the
other way round, squares first. It publishes no checksums, so files are given by path; and it names no licence
of theirs but the repository's.
"""

from __future__ import annotations

from typing import NamedTuple

from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.weights.registry import Entry, kinetics400_labels, register

_ZOO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
_X3D, _SLOWFAST = "https://arxiv.org/abs/2004.04730", "https://arxiv.org/abs/1812.03982"
_I3D, _NON_LOCAL = "https://arxiv.org/abs/1705.07750", "https://arxiv.org/abs/1711.07971"
_R2PLUS1D, _CSN = "https://arxiv.org/abs/1711.11248", "https://arxiv.org/abs/1904.02811"
_MVIT = "https://arxiv.org/abs/2104.11227"


class _Published(NamedTuple):
    architecture: str
    file: str
    top1: float
    top5: float
    citation: str
    views: str = "10x3"


_ALL = (
    _Published("x3d_xs", "X3D_XS.pyth", 69.12, 88.63, _X3D),
    _Published("x3d_s", "X3D_S.pyth", 73.33, 91.27, _X3D),
    _Published("x3d_m", "X3D_M.pyth", 75.94, 92.72, _X3D),
    _Published("x3d_l", "X3D_L.pyth", 77.44, 93.31, _X3D),
    _Published("slow_r50", "SLOW_8x8_R50.pyth", 74.58, 91.63, _SLOWFAST),
    _Published("slowfast_r50", "SLOWFAST_8x8_R50.pyth", 76.94, 92.69, _SLOWFAST),
    _Published("slowfast_r101", "SLOWFAST_8x8_R101.pyth", 77.90, 93.27, _SLOWFAST),
    _Published("slowfast_16x8_r101_50_50", "SLOWFAST_16x8_R101_50_50.pyth", 78.70, 93.61, _SLOWFAST),
    _Published("i3d_r50", "I3D_8x8_R50.pyth", 73.27, 90.70, _I3D),
    _Published("c2d_r50", "C2D_8x8_R50.pyth", 71.46, 89.68, _NON_LOCAL),
    _Published("r2plus1d_r50", "R2PLUS1D_16x4_R50.pyth", 76.01, 92.23, _R2PLUS1D),
    _Published("csn_r101", "CSN_32x2_R101.pyth", 77.00, 92.90, _CSN),
    _Published("mvit_base_16x4", "MVIT_B_16x4.pyth", 78.85, 93.85, _MVIT, "5x1"),
    _Published("mvit_base_32x3", "MVIT_B_32x3_f294077834.pyth", 80.30, 94.69, _MVIT, "5x1"),
)

for _p in _ALL:
    register(
        Entry(
            f"{_p.architecture}-kinetics400",
            architecture=_p.architecture,
            stream="rgb",
            pretraining="kinetics",
            top1=_p.top1,
            top5=_p.top5,
            views=_p.views,
            source=f"pytorchvideo's model zoo, {_p.file}",
            location=f"{_ZOO}/{_p.file}",
            sha256=None,
            licence="Apache-2.0",
            labels=kinetics400_labels,
            clips=ARCHITECTURES[_p.architecture].clips,
            citation=_p.citation,
        )
    )
