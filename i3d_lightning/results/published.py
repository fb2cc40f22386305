"""The paper's own numbers, as data.

Source: Carreira & Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
CVPR 2017, arXiv:1705.07750, Tables 2 to 5. Top-1 accuracy in percent; split 1 of UCF-101 and
HMDB-51 and the test set of Kinetics, except Table 5, which averages the three splits.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import ndtr

from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.results.scores import Cell

SOURCE = "arXiv:1705.07750"


@dataclass(frozen=True)
class Published:
    """One number of the paper.

    Attributes:
        table: Number of the table that it stands in.
        architecture: Row.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow`.
        pretraining: What the weights had seen.
        protocol: How the data set was used.
        dataset: `ucf101`, `hmdb51` or `kinetics`.
        splits: The splits it is over.
        top1: Percent.
        top5: Percent, where the paper gives it.
    """

    table: int
    architecture: str
    stream: str
    pretraining: str
    protocol: str
    dataset: str
    splits: tuple[int, ...]
    top1: float
    top5: float | None = None


# Table 2: RGB, Flow, RGB+Flow; trained on the target from ImageNet (the 3D-ConvNet from scratch).
_TABLE2: dict[str, dict[str, tuple[float | None, ...]]] = {
    "convnet-lstm": {
        "ucf101": (81.0, None, None),
        "hmdb51": (36.0, None, None),
        "kinetics": (63.3, None, None),
    },
    "c3d": {"ucf101": (51.6, None, None), "hmdb51": (24.3, None, None), "kinetics": (56.1, None, None)},
    "two-stream": {
        "ucf101": (83.6, 85.6, 91.2),
        "hmdb51": (43.2, 56.3, 58.3),
        "kinetics": (62.2, 52.4, 65.6),
    },
    "fused-3d": {"ucf101": (83.2, 85.8, 89.3), "hmdb51": (49.2, 55.5, 56.8), "kinetics": (None, None, 67.2)},
    "i3d": {"ucf101": (84.5, 90.6, 93.4), "hmdb51": (49.8, 61.9, 66.4), "kinetics": (71.1, 63.4, 74.2)},
}

# Table 3: Kinetics from scratch, then from ImageNet, RGB / Flow / RGB+Flow.
_TABLE3: dict[str, dict[str, tuple[float | None, ...]]] = {
    "convnet-lstm": {"none": (53.9, None, None), "imagenet": (63.3, None, None)},
    "c3d": {"none": (56.1, None, None)},
    "two-stream": {"none": (57.9, 49.6, 62.8), "imagenet": (62.2, 52.4, 65.6)},
    "fused-3d": {"none": (None, None, 62.7), "imagenet": (None, None, 67.2)},
    "i3d": {"none": (68.4, 61.5, 71.6), "imagenet": (71.1, 63.4, 74.2)},
}
_TABLE3_TOP5 = {"i3d": {"none": (88.0, 83.4, 90.0), "imagenet": (89.3, 84.9, 91.3)}}

# Table 4: (with ImageNet, without) for origin, fixed, full-ft.
_TABLE4: dict[str, dict[str, tuple[tuple[float | None, float | None], ...]]] = {
    "ucf101": {
        "convnet-lstm": ((81.0, 54.2), (88.1, 82.6), (91.0, 86.8)),
        "c3d": ((None, 51.6), (None, 76.0), (None, 79.9)),
        "two-stream": ((91.2, 83.6), (93.9, 93.3), (94.2, 93.8)),
        "fused-3d": ((89.3, 69.5), (94.3, 89.8), (94.2, 91.5)),
        "i3d": ((93.4, 88.8), (97.7, 97.4), (98.0, 97.6)),
    },
    "hmdb51": {
        "convnet-lstm": ((36.0, 18.3), (50.8, 47.1), (53.4, 49.7)),
        "c3d": ((None, 24.3), (None, 47.0), (None, 49.4)),
        "two-stream": ((58.3, 47.1), (66.6, 65.9), (66.6, 64.3)),
        "fused-3d": ((56.8, 37.3), (69.9, 64.6), (71.0, 66.5)),
        "i3d": ((66.4, 62.2), (79.7, 78.6), (81.2, 81.3)),
    },
}

# Table 5: I3D, full-ft, mean of the three splits, RGB / Flow / RGB+Flow.
_TABLE5: dict[str, dict[str, tuple[float | None, ...]]] = {
    "kinetics": {"ucf101": (95.1, 96.5, 97.8), "hmdb51": (74.3, 77.3, 80.9)},
    "imagenet+kinetics": {"ucf101": (95.6, 96.7, 98.0), "hmdb51": (74.8, 77.1, 80.7)},
}


@dataclass(frozen=True)
class Method:
    """Another method's row of Table 5: top-1 in percent, None where the paper gives none."""

    name: str
    ucf101: float
    hmdb51: float | None


OTHERS: tuple[Method, ...] = (
    Method("Two-Stream", 88.0, 59.4),
    Method("IDT", 86.4, 61.7),
    Method("Dynamic Image Networks + IDT", 89.1, 65.2),
    Method("TDD + IDT", 91.5, 65.9),
    Method("Two-Stream Fusion + IDT", 93.5, 69.2),
    Method("Temporal Segment Networks", 94.2, 69.4),
    Method("ST-ResNet + IDT", 94.6, 70.3),
    Method("Deep Networks, Sports 1M pretraining", 65.2, None),
    Method("C3D one network, Sports 1M pretraining", 82.3, None),
    Method("C3D ensemble, Sports 1M pretraining", 85.2, None),
    Method("C3D ensemble + IDT, Sports 1M pretraining", 90.1, None),
)
"""Table 5 above the paper's own rows, in its order."""


def _streams(architecture: str, values: tuple[float | None, ...]) -> Iterator[tuple[str, int, float]]:
    both = ARCHITECTURES[architecture].combined_stream
    for position, (stream, value) in enumerate(zip(("rgb", "flow", both), values, strict=True)):
        if value is not None:
            yield stream, position, value


def _rows() -> Iterator[Published]:
    for architecture, by_dataset in _TABLE2.items():
        pretraining = "none" if architecture == "c3d" else "imagenet"
        for dataset, values in by_dataset.items():
            for stream, _, top1 in _streams(architecture, values):
                yield Published(2, architecture, stream, pretraining, "origin", dataset, (1,), top1)
    for architecture, by_pretraining in _TABLE3.items():
        for pretraining, values in by_pretraining.items():
            top5 = _TABLE3_TOP5.get(architecture, {}).get(pretraining, (None, None, None))
            for stream, position, top1 in _streams(architecture, values):
                yield Published(
                    3, architecture, stream, pretraining, "origin", "kinetics", (1,), top1, top5[position]
                )
    for dataset, by_architecture in _TABLE4.items():
        for architecture, by_protocol in by_architecture.items():
            for protocol, pair in zip(("origin", "fixed", "full-ft"), by_protocol, strict=True):
                names = ("imagenet", "none") if protocol == "origin" else ("imagenet+kinetics", "kinetics")
                for pretraining, value in zip(names, pair, strict=True):
                    if value is not None:
                        stream = ARCHITECTURES[architecture].combined_stream
                        yield Published(4, architecture, stream, pretraining, protocol, dataset, (1,), value)
    for pretraining, by_dataset in _TABLE5.items():
        for dataset, values in by_dataset.items():
            for stream, _, top1 in _streams("i3d", values):
                yield Published(5, "i3d", stream, pretraining, "full-ft", dataset, (1, 2, 3), top1)


PUBLISHED: tuple[Published, ...] = tuple(_rows())
_BY_CELL = {
    (p.architecture, p.stream, p.pretraining, p.protocol, p.dataset, p.splits): p
    for p in sorted(PUBLISHED, key=lambda p: p.top5 is not None)
}


def paper(
    architecture: str, stream: str, pretraining: str, protocol: str, dataset: str, splits: tuple[int, ...]
) -> Published | None:
    """Look up the paper's number for a cell, or None where it gives none.

    A cell that stands in several tables (origin from ImageNet in 2 and 4) has one value in all of them.
    """
    return _BY_CELL.get((architecture, stream, pretraining, protocol, dataset, splits))


NOTE = (
    "These are the paper's own numbers, as sure as so many independent test videos make them: it says "
    "neither which videos two networks share nor how alike those of a group are."
)
"""What a reader of findings by these numbers must know."""

TEST_VIDEOS = {"ucf101": 3783, "hmdb51": 1530, "kinetics": 40000}
"""Test videos behind the numbers of one split.

UCF-101: `testlist01.txt` of its authors. HMDB-51: 30 of each of 51 classes. Kinetics: 100 clips of each of
400 classes (section 3 of the paper); how many of them could be tested is not said.
"""


@dataclass(frozen=True)
class PublishedDifference:
    """Top-1 of one published number against another, in percentage points; see `PaperNumbers.compare`."""

    difference: float
    low: float
    high: float
    p: float
    videos: int
    groups: None = None


class PaperNumbers:
    """The paper's numbers of split 1, as uncertain as their test sets make them.

    The paper gives top-1 alone, so two things are unknown: which videos two networks get right together,
    which makes real differences surer than these, and how alike the videos of a group are, which makes them
    less sure. Here every video and every network counts as independent.

    Args:
        top1: Other numbers in their place, in percent.
        seed: Of the draws.
    """

    def __init__(self, top1: Mapping[Cell, float] | None = None, seed: int = 0) -> None:
        if top1 is None:
            top1 = {
                Cell(p.architecture, p.stream, p.pretraining, p.protocol, p.dataset): p.top1
                for p in PUBLISHED
                if p.splits == (1,)
            }
        self._top1 = top1
        self._seed = seed
        self._draws: dict[Cell, np.ndarray] = {}

    def cell(self, architecture: str, stream: str, pretraining: str, protocol: str, dataset: str) -> Cell:
        """Name a cell of the paper's tables."""
        return Cell(architecture, stream, pretraining, protocol, dataset)

    def top1(self, cell: Cell, beside: Iterable[Cell] = ()) -> float | None:
        """Give the paper's number in percent, None where it gives none."""
        return self._top1.get(cell)

    def draws(self, cell: Cell, beside: Iterable[Cell] = ()) -> np.ndarray | None:
        """Draw 2,000 times what so many other test videos would give: binomial, in percent."""
        if cell not in self._top1:
            return None
        if cell not in self._draws:
            rng = np.random.default_rng([self._seed, zlib.crc32("/".join(cell).encode())])
            videos = TEST_VIDEOS[cell.dataset]
            self._draws[cell] = 100.0 / videos * rng.binomial(videos, self._top1[cell] / 100, 2000)
        return self._draws[cell]

    def compare(self, one: Cell, other: Cell) -> PublishedDifference | None:
        """Compare two numbers on one data set: interval from draws, p from the z test of two proportions."""
        before, after = self.draws(one), self.draws(other)
        if before is None or after is None:
            return None
        videos = TEST_VIDEOS[other.dataset]
        difference = self._top1[other] - self._top1[one]
        pooled = (self._top1[other] + self._top1[one]) / 200
        error = 100 * sqrt(2 * pooled * (1 - pooled) / videos)
        p = 2 * float(ndtr(-abs(difference) / error)) if error else 1.0
        low, high = np.percentile(after - before, (2.5, 97.5))
        return PublishedDifference(difference, float(low), float(high), p, videos)
