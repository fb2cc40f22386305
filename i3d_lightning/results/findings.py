"""The paper's conclusions (sections 4 and 5), and what numbers say of them: ours, or the paper's own.

How a verdict comes about is said in `verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from i3d_lightning.networks import ARCHITECTURES, Architecture, paper
from i3d_lightning.networks.registry import IMAGE_NETWORK
from i3d_lightning.results.numbers import Difference, Numbers
from i3d_lightning.results.scores import Cell
from i3d_lightning.results.tables import trained, transfer
from i3d_lightning.results.verdicts import Finding, alike, drawn, every

TARGETS = ("ucf101", "hmdb51")
EVERYWHERE = (*TARGETS, "kinetics")
Pair = tuple[Cell, Cell]


def findings(numbers: Numbers) -> list[Finding]:
    """Judge every conclusion."""
    return [judge(numbers) for judge in CONCLUSIONS]


def _name(cell: Cell) -> str:
    return f"{cell.architecture} {cell.stream} {cell.protocol} from {cell.pretraining}"


def _better(numbers: Numbers, statement: str, pairs: Iterable[Pair]) -> Finding:
    """Judge whether the second of every pair is better."""
    compared = {
        f"{_name(other)} against {_name(one)} on {other.dataset}": numbers.compare(one, other)
        for one, other in pairs
    }
    return every(statement, compared)


def _best(numbers: Numbers, architecture: Architecture, dataset: str) -> Cell:
    """A cell of Table 2, of the stream of the architecture's two-stream result."""
    return trained(numbers, architecture, architecture.combined_stream, dataset)


def _two_streams() -> list[Architecture]:
    return [architecture for architecture in paper() if "flow" in architecture.streams]


def _from_images() -> list[Architecture]:
    return [architecture for architecture in paper() if architecture.from_images]


def i3d_is_best(numbers: Numbers) -> Finding:
    """The paper: I3D does "best in all datasets, with either RGB, flow, or RGB+flow"; here the last."""
    *others, i3d = paper()
    pairs = [(_best(numbers, a, d), _best(numbers, i3d, d)) for d in EVERYWHERE for a in others]
    return _better(numbers, "Two-Stream I3D is the best architecture on every data set (Table 2)", pairs)


def i3d_is_best_in_each_stream(numbers: Numbers) -> Finding:
    """The same sentence; here the first two."""
    *others, i3d = paper()
    pairs = [
        (trained(numbers, a, s, d), trained(numbers, i3d, s, d))
        for d in EVERYWHERE
        for s in i3d.streams
        for a in others
        if s in a.streams
    ]
    return _better(numbers, "I3D is also the best in RGB alone and in flow alone (Table 2)", pairs)


def flow_beats_rgb_on_the_targets(numbers: Numbers) -> Finding:
    """The paper: flow alone is "slightly higher than that of RGB on UCF-101, much higher on HMDB-51"."""
    pairs = [
        (trained(numbers, a, "rgb", d), trained(numbers, a, "flow", d))
        for d in TARGETS
        for a in _two_streams()
    ]
    return _better(numbers, "Flow beats RGB on UCF-101 and HMDB-51 (Table 2)", pairs)


def rgb_beats_flow_on_kinetics(numbers: Numbers) -> Finding:
    """The paper: "And substantially lower on Kinetics"."""
    pairs = [
        (trained(numbers, a, "flow", "kinetics"), trained(numbers, a, "rgb", "kinetics"))
        for a in (ARCHITECTURES["two-stream"], ARCHITECTURES["i3d"])
    ]
    return _better(numbers, "RGB beats flow on Kinetics (Table 2)", pairs)


def both_beat_either(numbers: Numbers) -> Finding:
    """The paper: "Two-stream architectures exhibit superior performance on all datasets"."""
    pairs = [
        (trained(numbers, a, stream, d), _best(numbers, a, d))
        for d in EVERYWHERE
        for a in _two_streams()
        for stream in ("rgb", "flow")
    ]
    return _better(numbers, "RGB+Flow beats either stream (Table 2)", pairs)


def imagenet_first_helps(numbers: Numbers) -> Finding:
    """The paper: "ImageNet pre-training still helps in all cases"."""
    pairs = [
        (numbers.cell(a.name, s, "none", "origin", "kinetics"), trained(numbers, a, s, "kinetics"))
        for a in _from_images()
        for s in dict.fromkeys((*a.streams, a.combined_stream))
    ]
    return _better(numbers, "ImageNet first helps on Kinetics (Table 3)", pairs)


def _gain(numbers: Numbers, architecture: Architecture, imagenet_first: bool, dataset: str) -> Pair:
    """Origin and full-ft of a column of Table 4."""
    origin, tuned = (
        transfer(numbers, architecture, protocol, imagenet_first, dataset)
        for protocol in ("origin", "full-ft")
    )
    return origin, tuned


def kinetics_helps_everyone(numbers: Numbers) -> Finding:
    """The paper: "All architectures benefit from pre-training on the additional video data of Kinetics"."""
    pairs = [
        _gain(numbers, a, imagenet_first, d)
        for a in paper()
        for d in TARGETS
        for imagenet_first in (False, True)
        if a.from_images or not imagenet_first
    ]
    return _better(numbers, "Pretraining on Kinetics helps every architecture (Table 4)", pairs)


def frozen_i3d_beats_origin(numbers: Numbers) -> Finding:
    """The paper: "Training just the last layers [...] also leads to much better performance" for I3D."""
    i3d = ARCHITECTURES["i3d"]
    pairs = [
        (transfer(numbers, i3d, "origin", first, d), transfer(numbers, i3d, "fixed", first, d))
        for d in TARGETS
        for first in (False, True)
    ]
    statement = "I3D frozen after Kinetics is better than trained on the target alone (Table 4)"
    return _better(numbers, statement, pairs)


def kinetics_beats_imagenet(numbers: Numbers) -> Finding:
    """The paper: "Kinetics pretraining helps significantly more than ImageNet".

    Frozen is this project's addition: against the image network itself, the one fair control.
    """
    tuned = [
        (
            transfer(numbers, a, "origin", True, d),
            transfer(numbers, a, "full-ft", False, d),
        )
        for a in _from_images()
        for d in TARGETS
    ]
    frozen = [
        (
            numbers.cell(IMAGE_NETWORK, "rgb", "imagenet", "fixed", d),
            numbers.cell("i3d", "rgb", "kinetics", "fixed", d),
        )
        for d in TARGETS
    ]
    statement = "Pretraining on Kinetics beats pretraining on ImageNet (Table 4, and frozen)"
    return _better(numbers, statement, [*tuned, *frozen])


def kinetics_helps_3d_most(numbers: Numbers) -> Finding:
    """The paper: "Some benefit significantly more than the others – notably the I3D-ConvNet and 3D-ConvNet".

    That is so with ImageNet first, for the architectures that can start from images.
    """
    most = (ARCHITECTURES["i3d"], ARCHITECTURES["c3d"])
    compared = {}
    for dataset in TARGETS:
        gains = {a: _gain(numbers, a, a.from_images is not None, dataset) for a in paper()}
        for a in most:
            for b in (b for b in gains if b not in most):
                name = f"{a.name} against {b.name} on {gains[a][0].dataset}, % of the error"
                compared[name] = _takes_away_more(numbers, gains[b], gains[a])
    return every(
        "Kinetics helps I3D and the 3D-ConvNet most (Table 4, share of the error taken away)", compared
    )


def _takes_away_more(numbers: Numbers, one: Pair, other: Pair) -> Difference | None:
    """Compare the shares of the error that Kinetics takes away, in points."""
    cells = (*one, *other)
    top1, draws = ([of(cell, cells) for cell in cells] for of in (numbers.top1, numbers.draws))
    basis = [d for cell in cells[1:] if (d := numbers.compare(one[0], cell)) is not None]
    if any(number is None for number in (*top1, *draws)):
        return None
    seen, by_draw = (_share(*kind[2:]) - _share(*kind[:2]) for kind in (np.array(top1), np.array(draws)))
    if {0.0, 100.0} & set(top1):  # all or none right: replicates, all alike, know nothing of the error
        by_draw = np.full_like(by_draw, np.nan)
    return drawn(float(seen), by_draw, min(basis, key=lambda d: d.videos))


def _share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Share of the error that is taken away, in percent; NaN where there was none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before < 100, 100 * (after - before) / (100 - before), np.nan)


def the_ranking_is_mostly_the_same(numbers: Numbers) -> Finding:
    """The paper: "Mostly consistent"; two of them change places on Kinetics."""
    rankings = {}
    for dataset in EVERYWHERE:
        named = {a.name: _best(numbers, a, dataset) for a in paper()}
        place = next(iter(named.values())).dataset
        cells = {name: cell for name, cell in named.items() if numbers.top1(cell) is not None}
        rankings[place] = {
            name: (top1, draws)
            for name, cell in cells.items()
            if (top1 := numbers.top1(cell, cells.values())) is not None
            and (draws := numbers.draws(cell, cells.values())) is not None
        }
    return alike("The ranking of architectures is mostly the same on all data sets (Table 2)", rankings)


CONCLUSIONS: tuple[Callable[[Numbers], Finding], ...] = (
    i3d_is_best,
    i3d_is_best_in_each_stream,
    the_ranking_is_mostly_the_same,
    flow_beats_rgb_on_the_targets,
    rgb_beats_flow_on_kinetics,
    both_beat_either,
    imagenet_first_helps,
    kinetics_helps_everyone,
    kinetics_helps_3d_most,
    frozen_i3d_beats_origin,
    kinetics_beats_imagenet,
)
