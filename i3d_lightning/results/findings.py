"""The paper's conclusions as statements that our own numbers hold or do not (sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from i3d_lightning.networks import ARCHITECTURES, Architecture, paper
from i3d_lightning.results.scores import Cell, Index, Score, tests
from i3d_lightning.results.tables import trained, transfer

Verdict = Literal["holds", "does not hold", "not run"]
TARGETS = ("ucf101", "hmdb51")
EVERYWHERE = (*TARGETS, "kinetics")


@dataclass(frozen=True)
class Finding:
    """A statement and what our numbers say of it.

    Attributes:
        statement: What the paper concludes.
        verdict: Whether it holds in every comparison that was run.
        evidence: Each comparison in words, with its interval and number of videos.
    """

    statement: str
    verdict: Verdict
    evidence: tuple[str, ...]


def findings(found: Iterable[Score], demo: bool | None = None) -> list[Finding]:
    """Judge every conclusion.

    Args:
        found: All scores.
        demo: Judge on the rendered data sets; by default, where nothing else was run.
    """
    index = Index(tests(found), demo)
    return [judge(index) for judge in CONCLUSIONS]


Pair = tuple[Cell, Cell]


def _all(index: Index, statement: str, pairs: Iterable[Pair]) -> Finding:
    """It holds if the second of every pair that was run is better."""
    better, words = [], []
    for one, other in pairs:
        found = index.compare(one, other)
        if found is not None:
            better.append(found.difference > 0)
            words.append(
                f"{_name(other)} against {_name(one)} on {other.dataset}: {found.difference:+.1f} "
                f"[{found.low:+.1f}, {found.high:+.1f}], p = {found.p:.2g}, {found.videos} videos"
            )
    return Finding(statement, _verdict(better), tuple(words))


def _verdict(judged: list[bool]) -> Verdict:
    if not judged:
        return "not run"
    return "holds" if all(judged) else "does not hold"


def _name(cell: Cell) -> str:
    return f"{cell.architecture} {cell.stream} {cell.protocol} from {cell.pretraining}"


def _best(index: Index, architecture: Architecture, dataset: str) -> Cell:
    """A cell of Table 2, of the stream of the architecture's two-stream result."""
    return trained(index, architecture, architecture.combined_stream, dataset)


def _two_streams() -> list[Architecture]:
    return [architecture for architecture in paper() if "flow" in architecture.streams]


def _from_images() -> list[Architecture]:
    return [architecture for architecture in paper() if architecture.from_images]


def i3d_is_best(index: Index) -> Finding:
    *others, i3d = paper()
    pairs = [(_best(index, a, d), _best(index, i3d, d)) for d in EVERYWHERE for a in others]
    return _all(index, "Two-Stream I3D is the best architecture on every data set (Table 2)", pairs)


def the_ranking_is_the_same(index: Index) -> Finding:
    """By the order of all architectures that were run on each of two data sets or more."""
    statement = "The ranking of architectures is the same on all data sets (Table 2)"
    top1: dict[str, dict[str, float]] = {}
    for dataset in EVERYWHERE:
        found = {a.name: index.top1(_best(index, a, dataset)) for a in paper()}
        if any(top is not None for top in found.values()):
            top1[dataset] = {name: top for name, top in found.items() if top is not None}
    shared = set.intersection(*map(set, top1.values())) if top1 else set()
    if len(top1) < 2 or len(shared) < 2:
        return Finding(statement, _verdict([]), ())
    rankings = {d: tuple(sorted(sorted(shared), key=lambda a: -t[a])) for d, t in top1.items()}
    words = tuple(
        f"{d}: " + " > ".join(f"{a} ({top1[d][a]:.1f})" for a in order) for d, order in rankings.items()
    )
    return Finding(statement, _verdict([len(set(rankings.values())) == 1]), words)


def flow_beats_rgb_on_the_targets(index: Index) -> Finding:
    pairs = [
        (trained(index, a, "rgb", d), trained(index, a, "flow", d)) for d in TARGETS for a in _two_streams()
    ]
    return _all(index, "Flow beats RGB on UCF-101 and HMDB-51 (Table 2)", pairs)


def rgb_beats_flow_on_kinetics(index: Index) -> Finding:
    pairs = [
        (trained(index, a, "flow", "kinetics"), trained(index, a, "rgb", "kinetics"))
        for a in (ARCHITECTURES["two-stream"], ARCHITECTURES["i3d"])
    ]
    return _all(index, "RGB beats flow on Kinetics (Table 2)", pairs)


def both_beat_either(index: Index) -> Finding:
    pairs = [
        (trained(index, a, stream, d), _best(index, a, d))
        for d in EVERYWHERE
        for a in _two_streams()
        for stream in ("rgb", "flow")
    ]
    return _all(index, "RGB+Flow beats either stream (Table 2)", pairs)


def imagenet_first_helps(index: Index) -> Finding:
    pairs = [
        (index.cell(a.name, s, "none", "origin", "kinetics"), trained(index, a, s, "kinetics"))
        for a in _from_images()
        for s in dict.fromkeys((*a.streams, a.combined_stream))
    ]
    return _all(index, "ImageNet first helps on Kinetics (Table 3)", pairs)


def _gains(index: Index) -> Iterator[tuple[Architecture, str, bool, Pair]]:
    """Origin against full-ft of each architecture and target, without ImageNet and with it."""
    for architecture in paper():
        for dataset in TARGETS:
            for imagenet_first in (False, True):
                one, other = (
                    transfer(index, architecture, protocol, imagenet_first, dataset)
                    for protocol in ("origin", "full-ft")
                )
                yield architecture, dataset, imagenet_first, (one, other)


def kinetics_helps_everyone(index: Index) -> Finding:
    statement = "Pretraining on Kinetics helps every architecture (Table 4)"
    return _all(index, statement, [pair for *_, pair in _gains(index)])


def kinetics_helps_3d_most(index: Index) -> Finding:
    """By the share of the error that it takes away, without ImageNet."""
    statement = "Kinetics helps I3D and the 3D-ConvNet most (Table 4, share of the error taken away)"
    words, verdicts = [], []
    for dataset in TARGETS:
        change: dict[str, float] = {}
        for architecture, where, imagenet_first, (one, other) in _gains(index):
            before, after = index.top1(one), index.top1(other)
            if where == dataset and not imagenet_first and before is not None and after is not None:
                change[architecture.name] = (100 - after) / max(100 - before, 1e-9) - 1
        if {"i3d", "c3d"} <= change.keys() and len(change) > 2:
            order = sorted(change, key=lambda name: change[name])
            verdicts.append(set(order[:2]) == {"i3d", "c3d"})
            words.append(f"{dataset}: " + ", ".join(f"{name} {100 * change[name]:+.0f} %" for name in order))
    return Finding(statement, _verdict(verdicts), tuple(words))


def kinetics_beats_imagenet(index: Index) -> Finding:
    pairs = [
        (
            index.cell(a.name, a.combined_stream, "imagenet", before, d),
            index.cell(a.name, a.combined_stream, "kinetics", after, d),
        )
        for before, after in (("origin", "full-ft"), ("fixed", "fixed"))
        for a in _from_images()
        for d in TARGETS
    ]
    return _all(index, "Pretraining on Kinetics beats pretraining on ImageNet (Table 4, and frozen)", pairs)


CONCLUSIONS: tuple[Callable[[Index], Finding], ...] = (
    i3d_is_best,
    the_ranking_is_the_same,
    flow_beats_rgb_on_the_targets,
    rgb_beats_flow_on_kinetics,
    both_beat_either,
    imagenet_first_helps,
    kinetics_helps_everyone,
    kinetics_helps_3d_most,
    kinetics_beats_imagenet,
)
