"""What a reviewer asks of predictions: how sure is a number, is a difference real, and where is it?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from i3d_lightning.results.predictions import Predictions, aligned
from i3d_lightning.results.resampling import Sums, bound, correctness, percentiles, sign_flip_p, wider

Splits = Sequence[Sequence[Predictions]]
"""Predictions of every seed, in each split."""


@dataclass(frozen=True)
class Comparison:
    """Top-1 of `other` against `one` on the same videos, seeds averaged within a video.

    Attributes:
        difference: Accuracy of `other` minus that of `one`, in percentage points, mean over splits.
        low: Lower end of its 95 % interval, by a bootstrap of whole groups.
        high: Its upper end.
        p: Two-sided paired permutation test of equal networks, which flips whole groups.
        mcnemar: Exact two-sided McNemar test of equal accuracy (McNemar 1947; binomial, not chi-squared),
            which takes videos as independent; None where a video was judged more than once, by several
            seeds or in several splits, and independence is out of the question.
        gained: Videos that are right more often in `other`.
        lost: Videos that are right more often in `one`.
        videos: Number of videos, where each counts once.
        groups: Number of groups.
    """

    difference: float
    low: float
    high: float
    p: float
    mcnemar: float | None
    gained: int
    lost: int
    videos: int
    groups: int

    def __str__(self) -> str:
        grouped = self.groups < self.videos
        over = f"{self.videos} videos" + (f" in {self.groups} groups" if grouped else "")
        text = (
            f"{self.difference:+.1f} points [{self.low:+.1f} to {self.high:+.1f}] on {over}: {self.gained} "
            f"gained, {self.lost} lost; paired permutation test over {'groups' if grouped else 'videos'} "
            f"p = {self.p:.2g}"
        )
        if self.mcnemar is None:
            return text
        return f"{text}, exact McNemar test, as if videos were independent, p = {self.mcnemar:.2g}"


def compare(one: Splits, other: Splits, dataset: str) -> Comparison:
    """Compare two networks on the same videos of the same splits.

    Args:
        one: Predictions of every seed, in each split.
        other: The same of what it is compared with; it may have other seeds.
        dataset: Name of the data set.

    Raises:
        InputError: They are of different videos.
    """
    other = [[aligned(first[0], p) for p in split] for first, split in zip(one, other, strict=True)]
    before, after = Sums.of(one), Sums.of(other)
    changes = before.parts(after.right - before.right)
    low, high = _difference_interval(before, after, changes, dataset)
    by_video = _change_by_video(one, other)
    gained, lost = int((by_video > 0).sum()), int((by_video < 0).sum())
    once = all(len(split) == 1 for split in (*one, *other)) and before.distinct == before.videos.sum()
    return Comparison(
        after.accuracy - before.accuracy,
        low,
        high,
        sign_flip_p(changes),
        _mcnemar(gained, lost) if once else None,
        gained,
        lost,
        before.distinct,
        len(before.groups),
    )


def _difference_interval(before: Sums, after: Sums, changes: np.ndarray, dataset: str) -> tuple[float, float]:
    """Percentiles of paired replicates, spread as the groups that changed allow."""
    difference = after.accuracy - before.accuracy
    same = changes - before.parts(before.videos) * difference / 100
    if np.abs(same).max() < 1e-12:  # replicates would be, too
        bounds = difference - bound(before.effective_groups), difference + bound(before.effective_groups)
        return max(bounds[0], -100.0), min(bounds[1], 100.0)
    changed = int((np.abs(changes) > 1e-12).sum())
    found = after.replicates(dataset) - before.replicates(dataset)
    low, high = percentiles(wider(found, difference, changed, before.effective_groups))
    return max(low, -100.0), min(high, 100.0)


def _change_by_video(one: Splits, other: Splits) -> np.ndarray:
    """How much more often each video is right in `other`, whatever splits it is in."""
    changes: dict[str, float] = defaultdict(float)
    for before, after in zip(one, other, strict=True):
        for video, change in zip(before[0].ids, correctness(after) - correctness(before), strict=True):
            changes[video] += change
    found = np.array(list(changes.values()))
    return np.where(np.abs(found) < 1e-9, 0.0, found)


def _mcnemar(gained: int, lost: int) -> float:
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def total_deviation(groups: list[list[float]]) -> float:
    """Estimate the standard deviation of one draw, between groups and within.

    By the variance components of a one-way random-effects model (Searle, Casella and McCulloch 1992); of one
    group, or with one value in each, it is the sample's.

    Args:
        groups: Values, by group; two or more in all.
    """
    every = np.concatenate([*map(np.array, groups)])
    if len(groups) in (1, len(every)):
        return float(np.std(every, ddof=1))
    sizes, means = np.array([*map(len, groups)]), np.array([*map(np.mean, groups)])
    within = sum(float(((np.array(g) - np.mean(g)) ** 2).sum()) for g in groups) / (len(every) - len(groups))
    between = float((sizes * (means - every.mean()) ** 2).sum()) / (len(groups) - 1)
    size = (len(every) - (sizes**2).sum() / len(every)) / (len(groups) - 1)
    return float(np.sqrt(within + max(0.0, (between - within) / size)))


def per_class(predictions: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate top-1 in percent and number of videos of every class that has any, by class name."""
    frame = pd.DataFrame({"label": predictions.labels, "top1": 100.0 * predictions.correct()})
    found = frame.groupby("label")["top1"].agg(["mean", "size"])
    found.index = pd.Index([classes[label] for label in found.index], name="class")
    return found.rename(columns={"mean": "top1", "size": "videos"})


def class_changes(one: Predictions, other: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate top-1 before and after by class, and the change in points, largest gain first."""
    before, after = per_class(one, classes), per_class(aligned(one, other), classes)
    table = pd.DataFrame({"before": before["top1"], "after": after["top1"], "videos": before["videos"]})
    table["change"] = table["after"] - table["before"]
    return table.sort_values("change", ascending=False, kind="stable")


def confusion(predictions: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Count videos by true class (rows) and predicted class; an unreadable one is in the last column."""
    counts = np.zeros((len(classes), len(classes) + 1), int)
    np.add.at(counts, (predictions.labels, predictions.answers()), 1)  # -1 is the last
    table = pd.DataFrame(counts, pd.Index(classes, name="true"), [*classes, "unreadable"])
    return table if counts[:, -1].any() else table.drop(columns="unreadable")
