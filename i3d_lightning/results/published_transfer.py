"""What others published of transfer to UCF-101 and HMDB-51, as data: the numbers of `i3d table transfer`.

All are of RGB on split 1, top-1 in percent, and each carries the views of a video that its authors tested on,
clips x squares as `clips.views` says them, and the frames of a clip. A number of a network that is not
registered here is kept, and not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.recipe import WHOLE, Clips
from i3d_lightning.results import published
from i3d_lightning.results.scores import Cell


@dataclass(frozen=True)
class Number:
    """A published number and how it was tested.

    Attributes:
        top1: Percent.
        views: What was seen of a video, as in `clips.views`.
        frames: Frames of a clip; of `whole`, the most of a video.
        fps: Their rate, in frames per second.
        side: Of the square that is seen, in pixels.
        by: Who published it, in a word.
        source: Where.
    """

    top1: float
    views: str
    frames: int
    fps: float
    side: int
    by: str
    source: str

    def tested_as(self, clips: Clips | None) -> bool:
        """Say whether a run that saw videos so was tested on the same views of the same clips."""
        if clips is None or (clips.views, clips.test_side) != (self.views, self.side):
            return False
        frames = clips.test_frames if self.views == WHOLE else clips.train_frames
        return self.frames == frames and isclose(self.fps, clips.fps, rel_tol=0.01)

    def __str__(self) -> str:
        return f"{self.top1:.1f} {self.by} {self.views}"


RATE = {"ucf101": 25, "hmdb51": 30}
"""Frames per second of the videos, of which authors take every so many as they are."""


def _gluoncv(dataset: str, top1: float) -> Number:
    """UCF101.csv and HMDB51.csv there: of its own I3D-ResNet-50, on every second of 64 frames.

    Its page says the views, "30 views for 3D networks (10 clips and 3-crop)", of its Kinetics-400 table.
    """
    source = "https://cv.gluon.ai/model_zoo/action_recognition.html"
    return Number(top1, "10x3", 32, RATE[dataset] / 2, 224, "GluonCV", source)


def _videomae(dataset: str, top1: float, views: str) -> Number:
    """Tables 2, 4 and 13 and section 7 of the third version; split 1 by the authors' issue 70.

    Every fourth frame on UCF-101, every second on HMDB-51.
    """
    every = {"ucf101": 4, "hmdb51": 2}[dataset]
    return Number(top1, views, 16, RATE[dataset] / every, 224, "VideoMAE", "arXiv:2203.12602v3")


def _slowfast(top1: float) -> Number:
    """The row BYOL, rho 4, 8 x 8 of its README (the paper, arXiv:2104.14558, gives less: 94.2).

    Views and size are those of slowfast/config/defaults.py, which its configurations for UCF-101 do not
    change. Its clips last 8 x 8 frames of 30 a second, whatever a video's, of which 8 are taken from the
    first to the last (slowfast/datasets/decoder.py).
    """
    source = "https://github.com/facebookresearch/SlowFast/tree/main/projects/contrastive_ssl"
    return Number(top1, "10x3", 8, 30 * 7 / 63, 256, "SlowFast", source)


# Network, pretraining, protocol, data set.
_TRANSFER: dict[tuple[str, str, str, str], Number] = {
    ("i3d_r50", "imagenet", "origin", "ucf101"): _gluoncv("ucf101", 83.9),
    ("i3d_r50", "imagenet", "origin", "hmdb51"): _gluoncv("hmdb51", 48.5),
    ("i3d_r50", "imagenet+kinetics", "full-ft", "ucf101"): _gluoncv("ucf101", 95.4),
    ("i3d_r50", "imagenet+kinetics", "full-ft", "hmdb51"): _gluoncv("hmdb51", 70.9),
    ("videomae_base", "kinetics-mae", "full-ft", "ucf101"): _videomae("ucf101", 96.1, "5x3"),
    ("videomae_base", "kinetics-mae", "full-ft", "hmdb51"): _videomae("hmdb51", 73.3, "10x3"),
    ("videomae_base", "ucf101-mae", "full-ft", "ucf101"): _videomae("ucf101", 91.3, "5x3"),
    ("videomae_base", "hmdb51-mae", "full-ft", "hmdb51"): _videomae("hmdb51", 62.6, "10x3"),
    ("slow_r50", "kinetics-byol", "full-ft", "ucf101"): _slowfast(94.7),
}
SPLITS = (1,)
"""The splits that all of these are over."""

TRANSFER: dict[Cell, Number] = {
    Cell(network, "rgb", pretraining, protocol, dataset): number
    for (network, pretraining, protocol, dataset), number in _TRANSFER.items()
}
"""By cell, what others than the paper published."""


def number_of(cell: Cell, splits: tuple[int, ...]) -> Number | None:
    """Look up what was published of a cell, by others or in the paper itself; None where nothing is."""
    if splits == SPLITS and cell in TRANSFER:
        return TRANSFER[cell]
    theirs = published.paper(*cell, splits)
    if theirs is None:
        return None
    clips = ARCHITECTURES[cell.architecture].clips
    return Number(
        theirs.top1, WHOLE, clips.test_frames, clips.fps, clips.test_side, "paper", published.SOURCE
    )
