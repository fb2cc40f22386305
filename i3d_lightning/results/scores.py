"""Scores of runs, and the one index that finds, averages and compares them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from i3d_lightning.datasets import DATASETS
from i3d_lightning.datasets.demo import FAMILY
from i3d_lightning.datasets.folds import HELD_OUT
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.predictions import Predictions, fuse
from i3d_lightning.results.reading import Reading
from i3d_lightning.results.runs import Run
from i3d_lightning.results.statistics import Comparison, aligned, compare, interval, pooled

log = logging.getLogger(__name__)


class Cell(NamedTuple):
    """What a number is of: an experiment without its split and seed, and with `rgb+flow` as a stream."""

    architecture: str
    stream: str
    pretraining: str
    protocol: str
    dataset: str


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 of one stream, or of the fusion of two, in one experiment.

    Attributes:
        experiment: What was run; for the fusion, its RGB half.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow`.
        predictions: What the score is computed from.
        missing: Official videos that were not there: `train`, `test`.
        reading: Videos that were there but could not be read, or only in part.
        pretrained_by: The weights it started from, None for none.
        tested_on: What the data set calls the part tested on.
        order: Place of its protocol in tables.
        control: Whether it is a control outside the paper.
        trains_by_steps: Whether its protocol trains a network, which varies with the seed.
        settings: Digest of what seeds and splits that are averaged have in common; None is unknown.
        data: Digest of the videos; None is unknown.
    """

    experiment: Experiment
    stream: str
    predictions: Predictions
    missing: dict[str, int]
    pretrained_by: str | None
    tested_on: str = "test"
    order: int = 0
    control: bool = False
    trains_by_steps: bool = True
    reading: Reading = field(default_factory=Reading)
    settings: str | None = None
    data: str | None = None

    @property
    def cell(self) -> Cell:
        """The cell that it belongs to."""
        e = self.experiment
        return Cell(e.architecture, self.stream, e.pretraining, e.protocol, e.dataset)

    @property
    def name(self) -> str:
        """The name of the run, with `rgb+flow` as the stream of a fusion."""
        parts = self.experiment.name.split("/")
        parts[1] = f"{self.experiment.architecture}-{self.stream}"
        return "/".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Give the machine-readable line of `i3d experiment --json`."""
        return {
            "run": self.name,
            "top1": round(self.predictions.accuracy(1), 4),
            "top5": round(self.predictions.accuracy(5), 4),
            "videos": len(self.predictions.ids),
            "missing": self.missing,
            "unreadable": self.reading.counts("unreadable"),
            "partly_read": self.reading.counts("partly"),
        }


def scores(runs: Iterable[Run]) -> list[Score]:
    """Score every run, and every pair of RGB and flow streams that can be fused."""
    found: list[Score] = []
    halves: dict[Experiment, dict[str, Score]] = defaultdict(dict)
    for run in runs:
        score = Score(
            run.experiment,
            run.experiment.stream,
            run.predictions,
            run.metrics["missing"],
            (run.metrics.get("weights") or {}).get("sha256"),
            run.metrics["tested_on"],
            run.metrics["protocol"]["order"],
            run.metrics["protocol"]["control"],
            run.metrics["protocol"].get("trains_by_steps", True),
            Reading.of(run.metrics),
            run.metrics.get("settings"),
            run.metrics.get("data"),
        )
        found.append(score)
    for score in found:
        if score.stream in ("rgb", "flow"):
            halves[replace(score.experiment, stream="rgb")][score.stream] = score
    for pair in halves.values():
        if len(pair) == 2:
            rgb, flow = pair["rgb"], pair["flow"]
            both = None
            if rgb.pretrained_by and flow.pretrained_by:
                both = f"{rgb.pretrained_by}+{flow.pretrained_by}"
            if rgb.data != flow.data:
                log.warning("Left out: the fusion of %s and %s: their videos differ", rgb.name, flow.name)
                continue
            try:
                fused = fuse(rgb.predictions, flow.predictions)
            except InputError as error:  # the streams' own scores stand
                log.warning("Left out: the fusion of %s and %s: %s", rgb.name, flow.name, error)
                continue
            reading = rgb.reading.both(flow.reading)
            found.append(replace(rgb, stream=FUSION, predictions=fused, pretrained_by=both, reading=reading))
    return found


def tests(found: Iterable[Score]) -> list[Score]:
    """Leave out what settings were chosen on, videos held out of training: that is no test result."""
    return [score for score in found if score.tested_on != HELD_OUT]


def _alike(found: Iterable[Score]) -> Iterator[Score]:
    """Leave out runs that cannot be averaged with the first of their cell, as settings or videos differ."""
    firsts: dict[tuple[Any, ...], Score] = {}
    for score in sorted(found, key=lambda score: (score.experiment.split, score.experiment.seed)):
        first = firsts.setdefault(score.cell, score)
        of_split = firsts.setdefault((score.cell, score.experiment.split), score)
        if score.settings != first.settings:
            _say_unlike("settings", score.name, first.name)
        elif score.data != of_split.data:
            _say_unlike("videos", score.name, of_split.name)
        else:
            yield score


@cache
def _say_unlike(what: str, one: str, other: str) -> None:
    """Say it once, however many tables are made."""
    log.warning(
        "Left out: %s was run with other %s than %s (see their fingerprint.json): keep them apart by --name.",
        one,
        what,
        other,
    )


@dataclass(frozen=True)
class Summary:
    """A cell over one split, or over several, and over its seeds.

    Attributes:
        cell: What was run.
        splits: The splits that it is over.
        by_seed: For each seed, the score of each split.
    """

    cell: Cell
    splits: tuple[int, ...]
    by_seed: tuple[tuple[Score, ...], ...]

    @property
    def first(self) -> tuple[Score, ...]:
        """The scores of the first seed, one for each split."""
        return self.by_seed[0]

    @property
    def top1(self) -> float:
        """Top-1 in percent, mean over splits and seeds."""
        return float(np.mean(self._means(1)))

    @property
    def top5(self) -> float:
        """Top-5 in percent, mean over splits and seeds."""
        return float(np.mean(self._means(5)))

    def _means(self, k: int) -> list[float]:
        return [float(np.mean([s.predictions.accuracy(k) for s in parts])) for parts in self.by_seed]

    def most(self, kind: str, part: str) -> int:
        """Count a part's videos that are `unreadable` or `partly` read: of each split the most over seeds."""
        by_split = zip(*self.by_seed, strict=True)
        return sum(max(score.reading.counts(kind)[part] for score in seeds) for seeds in by_split)

    @property
    def pretrainings(self) -> int:
        """How many different weights its runs started from."""
        return len({s.pretrained_by for parts in self.by_seed for s in parts})

    @property
    def spread(self) -> float:
        """The sample standard deviation of top-1 over seeds; NaN where it would say nothing.

        A convex classifier on frozen features hardly varies with the seed: its spread over seeds would
        look like certainty, so there is one only where the pretraining was repeated too.
        """
        repeated = len(self.by_seed) > 1 and (self.first[0].trains_by_steps or self.pretrainings > 1)
        return float(np.std(self._means(1), ddof=1)) if repeated else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the first seed's top-1 in percent, over the videos of all splits."""
        return interval(100.0 * np.concatenate([s.predictions.correct() for s in self.first]))


class Index:
    """All scores by cell. Iterating gives the summaries of all that was run.

    Args:
        found: The scores, as `scores` gives them.
        demo: Whether the rendered data sets take the place of the paper's; by default, where nothing else
            was run.
    """

    def __init__(self, found: Iterable[Score], demo: bool | None = None) -> None:
        self._cells: dict[Cell, dict[tuple[int, int], Score]] = defaultdict(dict)
        for score in _alike(found):
            self._cells[score.cell][score.experiment.split, score.experiment.seed] = score
        if demo is None:
            demo = bool(self._cells) and all(is_demo(cell.dataset) for cell in self._cells)
        self.demo = demo

    def __iter__(self) -> Iterator[Summary]:
        for cell, runs in self._cells.items():
            splits = tuple(sorted({split for split, _ in runs}))
            known = DATASETS.get(cell.dataset)
            all_of_them = [splits] if known and len(splits) > 1 and splits == known.splits else []
            for over in [*((split,) for split in splits), *all_of_them]:
                summary = self.find(cell, over)
                if summary is not None:  # the splits may have no seed in common
                    yield summary

    def dataset(self, name: str) -> str:
        """Name the data set that takes the place of one of the paper's."""
        takes = (d.name for d in DATASETS if d.stands_for == name and (d.family == FAMILY) == self.demo)
        return next(takes, name)

    def cell(self, architecture: str, stream: str, pretraining: str, protocol: str, dataset: str) -> Cell:
        """Name a cell, on the data set that takes the place of one of the paper's."""
        return Cell(architecture, stream, pretraining, protocol, self.dataset(dataset))

    def find(self, cell: Cell, splits: tuple[int, ...] = (1,)) -> Summary | None:
        """Summarise a cell over the seeds that were run on all of these splits; None where there is none."""
        runs = self._cells.get(cell, {})
        seeds = sorted({seed for _, seed in runs})
        complete = [seed for seed in seeds if all((split, seed) in runs for split in splits)]
        if not complete:
            return None
        return Summary(cell, splits, tuple(tuple(runs[n, seed] for n in splits) for seed in complete))

    def top1(self, cell: Cell) -> float | None:
        """Compute mean top-1 over all splits and seeds that were run, in percent."""
        runs = self._cells.get(cell)
        return float(np.mean([s.predictions.accuracy() for s in runs.values()])) if runs else None

    def compare(self, one: Cell, other: Cell) -> Comparison | None:
        """Compare two cells over the splits and seeds that both were run on, None where there is none."""
        before, after = self._cells.get(one, {}), self._cells.get(other, {})
        pairs = [(before[k].predictions, after[k].predictions) for k in sorted(before.keys() & after.keys())]
        if not pairs:
            return None
        return compare(pooled([b for b, _ in pairs]), pooled([aligned(b, a) for b, a in pairs]))


def is_demo(dataset: str) -> bool:
    """Say whether the project renders this data set itself."""
    known = DATASETS.get(dataset)
    return known is not None and known.family == FAMILY


def is_target(dataset: str) -> bool:
    """Say whether this data set is transferred to, instead of being what others start from."""
    known = DATASETS.get(dataset)
    return known is None or known.teaches is None
