"""Scores of runs, and the one index that finds, averages and compares them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from i3d_lightning.datasets import DATASETS
from i3d_lightning.datasets.demo import FAMILY
from i3d_lightning.datasets.split import DEVELOPMENT, HELD_OUT
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.recipe import Clips
from i3d_lightning.results.predictions import Predictions, fuse
from i3d_lightning.results.reading import Reading
from i3d_lightning.results.resampling import Sums
from i3d_lightning.results.runs import Run
from i3d_lightning.results.statistics import Comparison, compare, total_deviation

log = logging.getLogger(__name__)


class Cell(NamedTuple):
    """What a number is of: an experiment without its split and seeds, and with `rgb+flow` as a stream."""

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
        whole: Digest of the user's own list that these are a split of; None where there is none.
        near_duplicates: Whether a check had looked for near-duplicates too when it said which videos leaked.
        splits: Those that its data set has, as the run knew; of one's own, nobody else may.
        groups_known: Whether its data set knows which videos share a source, likewise; None is unknown.
        clips: How it saw videos; None is unknown, or of a fusion that its streams did not alike.
        provenance: Where the weights that it started from come from, in words; of a run its name.
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
    whole: str | None = None
    near_duplicates: bool = False
    splits: tuple[int, ...] = ()
    groups_known: bool | None = None
    clips: Clips | None = None
    provenance: str = ""

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
            "tested_on": self.tested_on,
            **{name: value and round(value, 4) for name, value in self.predictions.as_json().items()},
            "videos": len(self.predictions.ids),
            "groups": len(set(self.predictions.groups)),
            "leaked": int(self.predictions.leaked.sum()),
            "missing": self.missing,
            "unreadable": self.reading.counts("unreadable"),
            "partly_read": self.reading.counts("partly"),
        }


def scores(runs: Iterable[Run]) -> list[Score]:
    """Score every run, and every pair of RGB and flow streams that can be fused."""
    found: list[Score] = []
    halves: dict[Experiment, dict[str, Score]] = defaultdict(dict)
    for run in runs:
        weights = run.metrics.get("weights") or {}
        score = Score(
            run.experiment,
            run.experiment.stream,
            run.predictions,
            run.metrics["missing"],
            weights.get("sha256"),
            run.metrics["tested_on"],
            run.metrics["protocol"]["order"],
            run.metrics["protocol"]["control"],
            run.metrics["protocol"].get("trains_by_steps", True),
            Reading.of(run.metrics),
            run.metrics.get("settings"),
            run.metrics.get("data"),
            run.metrics.get("list"),
            run.metrics.get("near_duplicates", False),
            tuple(run.metrics.get("splits", ())),
            run.metrics.get("groups_known"),
            run.clips,
            weights.get("provenance") or "",
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
            if (rgb.data, rgb.whole) != (flow.data, flow.whole):
                log.warning("Left out: the fusion of %s and %s: their videos differ", rgb.name, flow.name)
                continue
            try:
                fused = fuse(rgb.predictions, flow.predictions)
            except InputError as error:  # the streams' own scores stand
                log.warning("Left out: the fusion of %s and %s: %s", rgb.name, flow.name, error)
                continue
            settings = f"{rgb.settings}+{flow.settings}"  # of both, as each may differ from another seed's
            fusion = replace(rgb, stream=FUSION, predictions=fused, pretrained_by=both, settings=settings)
            reading = rgb.reading.both(flow.reading)
            near = rgb.near_duplicates or flow.near_duplicates  # as leaks known to one are
            clips = rgb.clips if rgb.clips == flow.clips else None
            found.append(replace(fusion, reading=reading, near_duplicates=near, clips=clips))
    return found


def tests(found: Iterable[Score]) -> list[Score]:
    """Leave out what settings are chosen on: that is no test result."""
    return [score for score in found if score.tested_on not in (DEVELOPMENT, HELD_OUT)]


def _alike(found: Iterable[Score]) -> Iterator[Score]:
    """Leave out runs that cannot be averaged with the first of their cell, as settings or videos differ.

    Of different splits, whose videos differ anyway, all must be of test videos or none. What stands side by
    side of a data set of one's own must be of one list, that of the first run.
    """
    firsts: dict[tuple[Any, ...], Score] = {}
    for score in sorted(found, key=lambda score: (score.experiment.split, *_seeds(score))):
        of_list = firsts.setdefault((score.cell.dataset,), score)
        if score.whole != of_list.whole:
            _say_unlike("another list", score.name, of_list.name)
            continue
        first = firsts.setdefault(score.cell, score)
        of_split = firsts.setdefault((score.cell, score.experiment.split), score)
        if score.settings != first.settings:
            _say_unlike("other settings", score.name, first.name)
        elif score.data != of_split.data:
            _say_unlike("other videos", score.name, of_split.name)
        elif score.tested_on != first.tested_on:
            _say_unlike("other test videos", score.name, first.name)
        else:
            yield score


@cache
def _say_unlike(what: str, one: str, other: str) -> None:
    """Say it once, however many tables are made."""
    log.warning(
        "Left out: %s was run with %s than %s (see their fingerprint.json): keep them apart by --name.",
        one,
        what,
        other,
    )


def _seeds(score: Score) -> tuple[int, int]:
    """What is repeated: the pretraining, and what follows it."""
    return score.experiment.pretraining_seed, score.experiment.seed


@dataclass(frozen=True)
class Summary:
    """A cell over one split, or over several, and over its seeds.

    Attributes:
        cell: What was run.
        splits: The splits that it is over.
        by_seed: For each seed, of pretraining and of what follows, the score of each split.
        without_leaks: The same without the test videos that are trained on too, where that was asked for.
    """

    cell: Cell
    splits: tuple[int, ...]
    by_seed: tuple[tuple[Score, ...], ...]
    without_leaks: Summary | None = None

    @property
    def first(self) -> tuple[Score, ...]:
        """The scores of the first seed, one for each split."""
        return self.by_seed[0]

    @cached_property
    def sums(self) -> Sums:
        """How many videos of each group are right: mean over seeds, in each split."""
        return Sums.of(self._predictions)

    @property
    def _predictions(self) -> list[list[Predictions]]:
        """Of every seed, in each split."""
        return [[s.predictions for s in seeds] for seeds in zip(*self.by_seed, strict=True)]

    @property
    def top1(self) -> float:
        """Top-1 in percent, mean over splits and seeds."""
        return self.sums.accuracy

    @property
    def top5(self) -> float:
        """Top-5 in percent, mean over splits and seeds; NaN where five classes or fewer are tested on."""
        return float(np.mean([s.predictions.accuracy(5) for parts in self.by_seed for s in parts]))

    @property
    def top5_interval(self) -> tuple[float, float]:
        """95 % interval of top-5 in percent, as of top-1."""
        return Sums.of(self._predictions, 5).interval

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of top-1 in percent, over groups of videos: of these networks, however many."""
        return self.sums.interval

    @cached_property
    def draws(self) -> np.ndarray:
        """Bootstrap replicates of top-1 in percent, paired with those of other cells of the data set."""
        return self.sums.draws(self.cell.dataset)

    @property
    def groups_known(self) -> bool:
        """Whether anything is known of videos that share a source; else the interval is over videos."""
        known = DATASETS.get(self.cell.dataset)
        said = known.groups if known else self.first[0].groups_known
        return len(self.sums.groups) < self.sums.distinct if said is None else said

    @property
    def leaked(self) -> int:
        """How many test videos are known to be trained on too, in one split or another."""
        if self.without_leaks is not None:
            kept = (set(score.predictions.ids) for score in self.without_leaks.first)
            of_split = zip(self.first, kept, strict=True)  # one may leak in a split, and not in another
            return len({video for score, ids in of_split for video in set(score.predictions.ids) - ids})
        parts = (s.predictions for scores in self.by_seed for s in scores)
        return len({video for p in parts for video in np.array(p.ids)[p.leaked].tolist()})

    @property
    def near_duplicates(self) -> bool:
        """Whether near-duplicates were looked for in each of its splits; else leaks are exact duplicates."""
        return all(any(s.near_duplicates for s in seeds) for seeds in zip(*self.by_seed, strict=True))

    def most(self, kind: str, part: str) -> int:
        """Count a part's videos that are `unreadable` or `partly` read: of each split the most over seeds."""
        by_split = zip(*self.by_seed, strict=True)
        return sum(max(score.reading.counts(kind)[part] for score in seeds) for seeds in by_split)

    @property
    def seeds(self) -> int:
        """How many seeds of the last stage there are."""
        return len({parts[0].experiment.seed for parts in self.by_seed})

    @property
    def pretrainings(self) -> int:
        """How many different weights its runs started from; 0 from scratch."""
        return len({s.pretrained_by for parts in self.by_seed for s in parts} - {None})

    @property
    def spread_over(self) -> str:
        """What the spread is over: `seeds` of the last stage, or `pretraining and seeds`; empty without one.

        A convex classifier on frozen features hardly varies with the seed: its spread over seeds would look
        like certainty, so there is one only where the pretraining was repeated too.
        """
        if len(self.by_seed) < 2 or not (self.first[0].trains_by_steps or self.pretrainings > 1):
            return ""
        return "pretraining and seeds" if self.pretrainings > 1 else "seeds"

    @property
    def spread(self) -> float:
        """The standard deviation of one run's top-1, with all that `spread_over` names; NaN without any.

        Over seeds it is the sample's. Where pretrainings were repeated it has their variance too, by the
        variance components of a one-way random-effects model; with one seed each, that is the sample's again.
        """
        if not self.spread_over:
            return float("nan")
        by_pretraining: dict[Any, list[float]] = defaultdict(list)
        for parts in self.by_seed:
            mean = float(np.mean([s.predictions.accuracy() for s in parts]))
            by_pretraining[tuple(s.pretrained_by for s in parts)].append(mean)
        return total_deviation(list(by_pretraining.values()))


def without_leaks(found: Iterable[Score]) -> list[Score]:
    """Leave out of every run the test videos that any run of the same split knows to be trained on too.

    Raises:
        InputError: Nothing would be left to test on.
    """
    found = list(found)
    leaked: dict[tuple[str, int], set[str]] = defaultdict(set)
    for score in found:
        said = score.predictions
        leaked[score.cell.dataset, score.experiment.split] |= set(np.array(said.ids)[said.leaked].tolist())
    kept = []
    for score in found:
        try:
            clean = score.predictions.without_leaks(leaked[score.cell.dataset, score.experiment.split])
        except InputError as error:
            raise InputError(f"{score.name}: {error}") from error
        kept.append(replace(score, predictions=clean))
    return kept


_Runs = dict[tuple[int, tuple[int, int]], Score]
"""By split and seeds."""


def _by_cell(found: Iterable[Score]) -> dict[Cell, _Runs]:
    cells: dict[Cell, _Runs] = {}
    for score in found:
        cells.setdefault(score.cell, {})[score.experiment.split, _seeds(score)] = score
    return cells


class Index:
    """All scores by cell. Iterating gives the summaries of all that was run.

    Args:
        found: The scores, as `scores` gives them.
        demo: Whether the rendered data sets take the place of the paper's; by default, where nothing else
            was run.
        exclude_leaks: Leave out test videos that any run knows to be trained on too: summaries then have
            both numbers, and all else is without them.
    """

    def __init__(
        self, found: Iterable[Score], demo: bool | None = None, *, exclude_leaks: bool = False
    ) -> None:
        alike = list(_alike(found))
        self._cells = _by_cell(alike)
        if demo is None:
            demo = bool(self._cells) and all(is_demo(cell.dataset) for cell in self._cells)
        self.demo = demo
        self.exclude_leaks = exclude_leaks
        self._judged = _by_cell(without_leaks(alike)) if exclude_leaks else self._cells

    def __iter__(self) -> Iterator[Summary]:
        for cell, runs in self._cells.items():
            splits = tuple(sorted({split for split, _ in runs}))
            known = DATASETS.get(cell.dataset) or next(iter(runs.values()))
            all_of_them = [splits] if len(splits) > 1 and splits == known.splits else []
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
        found, clean = (
            Summary(cell, splits, tuple(tuple(of[cell][n, seed] for n in splits) for seed in complete))
            for of in (self._cells, self._judged)
        )
        return replace(found, without_leaks=clean) if self.exclude_leaks else found

    def top1(self, cell: Cell, beside: Iterable[Cell] = ()) -> float | None:
        """Compute top-1 in percent over all splits and seeds that were run: the mean over splits.

        Args:
            cell: Of what.
            beside: Cells that it is seen beside: only splits count that all of them were run on.
        """
        found = self._sums(cell, beside)
        return found.accuracy if found else None

    def draws(self, cell: Cell, beside: Iterable[Cell] = ()) -> np.ndarray | None:
        """Give 2,000 bootstrap replicates of `top1`, shape (2000,); None where nothing was run.

        Whole groups of videos are resampled, alike for all cells of a data set: differences of draws are
        paired, and percentiles of whatever is computed of draws are an interval.
        """
        found = self._sums(cell, beside)
        return found.draws(cell.dataset) if found else None

    def compare(self, one: Cell, other: Cell) -> Comparison | None:
        """Compare two cells over the splits that both were run on, each over its seeds there.

        It is None where there is no such split.

        Raises:
            InputError: They were run on different videos.
        """
        before, after = self._splits(one), self._splits(other)
        shared = sorted(before.keys() & after.keys())
        if not shared:
            return None
        try:
            return compare([before[s] for s in shared], [after[s] for s in shared], one.dataset)
        except InputError as error:
            raise InputError(f"{' '.join(one)}, and {' '.join(other)}: {error}") from error

    def _sums(self, cell: Cell, beside: Iterable[Cell]) -> Sums | None:
        runs = self._splits(cell)
        shared = runs.keys() & set.intersection(*({*self._splits(other)} for other in (cell, *beside)))
        return Sums.of([runs[split] for split in sorted(shared)]) if shared else None

    def _splits(self, cell: Cell) -> dict[int, list[Predictions]]:
        """The predictions of every seed, by split."""
        found: dict[int, list[Predictions]] = {}
        for (split, _), score in sorted(self._judged.get(cell, {}).items()):
            found.setdefault(split, []).append(score.predictions)
        return found


def is_demo(dataset: str) -> bool:
    """Say whether the project renders this data set itself."""
    known = DATASETS.get(dataset)
    return known is not None and known.family == FAMILY


def is_target(dataset: str) -> bool:
    """Say whether this data set is transferred to, instead of being what others start from."""
    known = DATASETS.get(dataset)
    return known is None or known.teaches is None
