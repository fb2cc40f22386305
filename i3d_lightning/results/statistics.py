"""What a reviewer asks of predictions: how sure is a number, is a difference real, and where is it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest, bootstrap

from i3d_lightning.errors import InputError
from i3d_lightning.results.predictions import Predictions


def interval(values: np.ndarray, samples: int = 2000) -> tuple[float, float]:
    """Compute the 95 % percentile bootstrap interval of a mean.

    Args:
        values: One for each video, shape (n,).
        samples: Number of bootstrap samples.
    """
    if len(values) < 2:
        return float(values.mean()), float(values.mean())
    found = bootstrap(
        (values.astype(np.float64),),
        np.mean,
        n_resamples=samples,
        batch=100,  # samples at once: all of Kinetics' would fill 600 MB
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Comparison:
    """Top-1 of `other` against `one` on the same videos.

    Attributes:
        difference: Accuracy of `other` minus that of `one`, in percentage points.
        low: Lower end of the 95 % bootstrap interval of the difference, over videos.
        high: Its upper end.
        gained: Videos that only `other` gets right.
        lost: Videos that only `one` gets right.
        p: Exact two-sided McNemar test of equal accuracy (McNemar 1947; binomial, not chi-squared).
        videos: Number of videos.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p: float
    videos: int

    def __str__(self) -> str:
        return (
            f"{self.difference:+.1f} points [{self.low:+.1f} to {self.high:+.1f}] on {self.videos} videos: "
            f"{self.gained} gained, {self.lost} lost, exact McNemar p = {self.p:.2g}"
        )


def compare(one: Predictions, other: Predictions) -> Comparison:
    """Compare two predictions of the same videos, video by video.

    Raises:
        InputError: They are of different videos.
    """
    change = 100.0 * aligned(one, other).correct() - 100.0 * one.correct()
    gained, lost = int((change > 0).sum()), int((change < 0).sum())
    p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return Comparison(float(change.mean()), *interval(change), gained, lost, float(p), len(change))


def aligned(one: Predictions, other: Predictions) -> Predictions:
    """Give `other` with its videos in the order of `one`.

    Raises:
        InputError: They are of different videos.
    """
    alone = set(one.ids) ^ set(other.ids)
    if alone:
        raise InputError(
            f"These predictions cannot be compared: {len(alone)} videos are in one of them only, "
            f"such as {min(alone)}."
        )
    ordered = other.ordered(one.ids)
    if not np.array_equal(one.labels, ordered.labels):
        raise InputError("These predictions cannot be compared: they were scored against different labels.")
    return ordered


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """Join predictions of several splits or seeds; ids are numbered apart by their part."""
    return Predictions(
        tuple(f"{number}/{video}" for number, part in enumerate(parts) for video in part.ids),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.logits for part in parts]),
        tuple(group for part in parts for group in part.groups),
        np.concatenate([part.leaked for part in parts]),
    )


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
