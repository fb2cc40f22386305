"""What a sweep comes to: of the settings that were tried on a cell the best, and which are as good.

Computed from stored predictions of videos held out of training alone, by the same statistics as all tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.results.runs import Run
from i3d_lightning.results.scores import Cell, Index, Score, Summary, scores


@dataclass(frozen=True)
class Tried:
    """A cell with one setting.

    Attributes:
        setting: Its name.
        runs: How many runs it is the mean of: splits times seeds.
        top1: Top-1 in percent on held-out videos.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        loss: Mean cross-entropy on them.
        videos: How many they are, over all splits.
    """

    setting: str
    runs: int
    top1: float
    low: float
    high: float
    loss: float
    videos: int


@dataclass(frozen=True)
class Choice:
    """What was tried on a cell, and what is best.

    Attributes:
        cell: The cell.
        tried: Every setting with which all its runs are complete, in the order of the sweep.
        best: The one of the highest top-1; of equal ones, that of the lowest cross-entropy.
        as_good: Names of those that the held-out videos do not tell from the best: the 95 % interval of the
            paired difference contains 0.
        left_out: Names of those with which not all of its runs are complete.
    """

    cell: Cell
    tried: tuple[Tried, ...]
    best: Tried
    as_good: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def choose(runs: Mapping[str, Iterable[Run]], planned: Mapping[str, Iterable[Experiment]]) -> list[Choice]:
    """Find the best setting of every cell, of those with which all its runs are complete.

    Args:
        runs: By the name of a setting, the runs with it.
        planned: By the name of a setting, all that were to be run with it.
    """
    found: dict[Cell, dict[str, list[Score]]] = {}
    for setting, some in runs.items():
        for score in scores(some):
            found.setdefault(score.cell, {}).setdefault(setting, []).append(score)
    choices = []
    for cell, by_setting in found.items():
        wanted = {setting: _runs_of(cell, experiments) for setting, experiments in planned.items()}
        complete = {name: some for name, some in by_setting.items() if len(some) == wanted[name]}
        left_out = tuple(name for name, number in wanted.items() if number and name not in complete)
        if complete:
            choices.append(replace(_choice(cell, complete), left_out=left_out))
    return choices


def _runs_of(cell: Cell, experiments: Iterable[Experiment]) -> int:
    """How many of the experiments are of a cell; of a fusion, how many pairs."""
    streams = ("rgb", "flow") if cell.stream == FUSION else (cell.stream,)
    of_cell = [
        e
        for e in experiments
        if Cell(e.architecture, cell.stream, e.pretraining, e.protocol, e.dataset) == cell
    ]
    halves = [{replace(e, stream=FUSION) for e in of_cell if e.stream == stream} for stream in streams]
    return len(set.intersection(*halves))


def _choice(cell: Cell, complete: Mapping[str, Sequence[Score]]) -> Choice:
    # To the index each setting makes a cell of its own, so that it can be summarised and compared.
    names = {setting: cell._replace(protocol=f"{cell.protocol} {setting}") for setting in complete}
    index = Index(
        replace(score, experiment=replace(score.experiment, protocol=names[setting].protocol))
        for setting, some in complete.items()
        for score in some
    )
    splits = tuple(sorted({s.experiment.split for some in complete.values() for s in some}))
    summaries = {setting: index.find(name, splits) for setting, name in names.items()}
    tried = tuple(_tried(setting, s, complete[setting]) for setting, s in summaries.items() if s)
    best = min(tried, key=lambda t: (-round(t.top1, 6), t.loss))
    others = {t.setting: index.compare(names[best.setting], names[t.setting]) for t in tried if t is not best}
    as_good = tuple(setting for setting, c in others.items() if c and c.low <= 0 <= c.high)
    return Choice(cell, tried, best, as_good)


def _tried(setting: str, summary: Summary, runs: Sequence[Score]) -> Tried:
    loss = float(np.mean([_cross_entropy(score.predictions) for score in runs]))
    videos = sum(len(score.predictions.ids) for score in summary.by_seed[0])
    return Tried(setting, len(runs), summary.top1, *summary.interval, loss, videos)


def _cross_entropy(predictions: Predictions) -> float:
    """Compute the mean over the videos that could be read, in nats."""
    logits = predictions.logits[predictions.readable].astype(np.float64)
    labels = predictions.labels[predictions.readable]
    if not len(labels):
        return float("inf")
    return float((logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())
