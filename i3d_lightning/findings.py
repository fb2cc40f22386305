"""The paper's conclusions as statements that our own numbers hold or do not (sections 4 and 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from i3d_lightning import plan
from i3d_lightning.plan import Architecture
from i3d_lightning.results import Score
from i3d_lightning.statistics import aligned, compare, pooled

Verdict = Literal["holds", "does not hold", "not run"]


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


class Scores:
    """All scores by cell; those of several splits and seeds are pooled where they are compared."""

    def __init__(self, found: Iterable[Score], demo: bool) -> None:
        self.demo = demo
        self.cells: dict[tuple[str, ...], dict[tuple[int, int], Score]] = defaultdict(dict)
        for score in found:
            e = score.experiment
            if plan.is_demo(e.dataset) == demo:
                key = (
                    e.architecture,
                    score.stream,
                    e.pretraining,
                    e.protocol,
                    e.dataset.removeprefix("demo-"),
                )
                self.cells[key][e.split, e.seed] = score

    def top1(self, *cell: str) -> float | None:
        """Mean top-1 over splits and seeds, in percent."""
        found = self.cells.get(cell)
        return float(np.mean([s.predictions.accuracy() for s in found.values()])) if found else None

    def difference(self, one: tuple[str, ...], other: tuple[str, ...]) -> tuple[bool, str] | None:
        """Whether `other` is better than `one`, and how that reads; None where they share no run."""
        both = self.cells.get(one, {}).keys() & self.cells.get(other, {}).keys()
        if not both:
            return None
        before = [self.cells[one][key].predictions for key in sorted(both)]
        after = [self.cells[other][key].predictions for key in sorted(both)]
        found = compare(pooled(before), pooled([aligned(b, a) for b, a in zip(before, after, strict=True)]))
        words = (
            f"{_name(other)} against {_name(one)} on {other[-1]}: {found.difference:+.1f} "
            f"[{found.low:+.1f}, {found.high:+.1f}], p = {found.p:.2g}, {found.videos} videos"
        )
        return found.difference > 0, words


def _name(cell: tuple[str, ...]) -> str:
    architecture, stream, pretraining, protocol, _ = cell
    return f"{architecture} {stream} {protocol} from {pretraining}"


def findings(scores: Sequence[Score], demo: bool) -> list[Finding]:
    """Every conclusion, judged on the real data sets or on the rendered ones."""
    found = Scores(scores, demo)
    return [judge(found) for judge in CONCLUSIONS]


Pair = tuple[tuple[str, ...], tuple[str, ...]]


def _all(found: Scores, statement: str, pairs: Iterable[Pair]) -> Finding:
    """It holds if the second of every pair that was run is better."""
    judged = [d for one, other in pairs if (d := found.difference(one, other)) is not None]
    verdict: Verdict = "not run"
    if judged:
        verdict = "holds" if all(better for better, _ in judged) else "does not hold"
    return Finding(statement, verdict, tuple(words for _, words in judged))


def _trained(architecture: Architecture, dataset: str) -> tuple[str, ...]:
    """A cell of Table 2: trained on the target, after ImageNet where there is such a thing."""
    start = "none" if architecture == "c3d" else "imagenet"
    return architecture, plan.combined_stream(architecture), start, "origin", dataset


def i3d_is_best(found: Scores) -> Finding:
    pairs = [
        (_trained(a, d), _trained("i3d", d))
        for d in ("ucf101", "hmdb51", "kinetics")
        for a in plan.PAPER[:-1]
    ]
    return _all(found, "Two-Stream I3D is the best architecture on every data set (Table 2)", pairs)


def the_ranking_is_the_same(found: Scores) -> Finding:
    """By the order of all architectures that were run on each of two data sets or more."""
    statement = "The ranking of architectures is the same on all data sets (Table 2)"
    top1 = {
        d: {a: t for a in plan.PAPER if (t := found.top1(*_trained(a, d))) is not None}
        for d in ("ucf101", "hmdb51", "kinetics")
    }
    shared = set.intersection(*(set(t) for t in top1.values() if t)) if any(top1.values()) else set()
    rankings = {d: tuple(sorted(shared, key=lambda a: -t[a])) for d, t in top1.items() if t}
    if len(rankings) < 2 or len(shared) < 2:
        return Finding(statement, "not run", ())
    words = tuple(
        f"{d}: " + " > ".join(f"{a} ({top1[d][a]:.1f})" for a in order) for d, order in rankings.items()
    )
    return Finding(statement, "holds" if len(set(rankings.values())) == 1 else "does not hold", words)


def flow_beats_rgb_on_the_targets(found: Scores) -> Finding:
    pairs = [
        ((a, "rgb", "imagenet", "origin", d), (a, "flow", "imagenet", "origin", d))
        for d in ("ucf101", "hmdb51")
        for a in ("two-stream", "fused-3d", "i3d")
    ]
    return _all(found, "Flow beats RGB on UCF-101 and HMDB-51 (Table 2)", pairs)


def rgb_beats_flow_on_kinetics(found: Scores) -> Finding:
    pairs = [
        ((a, "flow", "imagenet", "origin", "kinetics"), (a, "rgb", "imagenet", "origin", "kinetics"))
        for a in ("two-stream", "i3d")
    ]
    return _all(found, "RGB beats flow on Kinetics (Table 2)", pairs)


def both_beat_either(found: Scores) -> Finding:
    pairs = [
        ((a, stream, "imagenet", "origin", d), (a, plan.combined_stream(a), "imagenet", "origin", d))
        for d in ("ucf101", "hmdb51", "kinetics")
        for a in ("two-stream", "fused-3d", "i3d")
        for stream in ("rgb", "flow")
    ]
    return _all(found, "RGB+Flow beats either stream (Table 2)", pairs)


def imagenet_first_helps(found: Scores) -> Finding:
    pairs = [
        ((a, s, "none", "origin", "kinetics"), (a, s, "imagenet", "origin", "kinetics"))
        for a in plan.PAPER
        if a != "c3d"
        for s in dict.fromkeys((*plan.streams(a), plan.combined_stream(a)))
    ]
    return _all(found, "ImageNet first helps on Kinetics (Table 3)", pairs)


def _gains(found: Scores) -> Iterator[tuple[Architecture, str, Pair]]:
    """Origin against full-ft of each architecture, both with ImageNet and both without."""
    for architecture in plan.PAPER:
        for dataset in ("ucf101", "hmdb51"):
            for before, after in (("none", "kinetics"), ("imagenet", "imagenet+kinetics")):
                both = plan.combined_stream(architecture)
                yield (
                    architecture,
                    dataset,
                    (
                        (architecture, both, before, "origin", dataset),
                        (architecture, both, after, "full-ft", dataset),
                    ),
                )


def kinetics_helps_everyone(found: Scores) -> Finding:
    statement = "Pretraining on Kinetics helps every architecture (Table 4)"
    return _all(found, statement, [pair for _, _, pair in _gains(found)])


def kinetics_helps_3d_most(found: Scores) -> Finding:
    """By the share of the error that it takes away, without ImageNet."""
    statement = "Kinetics helps I3D and the 3D-ConvNet most (Table 4, share of the error taken away)"
    words, verdicts = [], []
    for dataset in ("ucf101", "hmdb51"):
        change: dict[Architecture, float] = {}
        for architecture, where, (one, other) in _gains(found):
            before, after = found.top1(*one), found.top1(*other)
            if where == dataset and one[2] == "none" and before is not None and after is not None:
                change[architecture] = (100 - after) / max(100 - before, 1e-9) - 1
        if {"i3d", "c3d"} <= change.keys() and len(change) > 2:
            order = sorted(change, key=lambda a: change[a])
            verdicts.append(set(order[:2]) == {"i3d", "c3d"})
            words.append(f"{dataset}: " + ", ".join(f"{a} {100 * change[a]:+.0f} %" for a in order))
    if not words:
        return Finding(statement, "not run", ())
    return Finding(statement, "holds" if all(verdicts) else "does not hold", tuple(words))


def kinetics_beats_imagenet(found: Scores) -> Finding:
    pairs = [
        (
            (a, plan.combined_stream(a), "imagenet", "origin", d),
            (a, plan.combined_stream(a), "kinetics", "full-ft", d),
        )
        for a in plan.PAPER
        if a != "c3d"
        for d in ("ucf101", "hmdb51")
    ]
    pairs += [
        (
            (a, plan.combined_stream(a), "imagenet", "fixed", d),
            (a, plan.combined_stream(a), "kinetics", "fixed", d),
        )
        for a in plan.PAPER
        if a != "c3d"
        for d in ("ucf101", "hmdb51")
    ]
    return _all(found, "Pretraining on Kinetics beats pretraining on ImageNet (Table 4, and frozen)", pairs)


CONCLUSIONS: tuple[Callable[[Scores], Finding], ...] = (
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
