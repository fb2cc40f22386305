"""How sure a number over videos is, where videos of one group are alike: whole groups are what is resampled.

Clips of one group share a source, and a network that is wrong on one is likely wrong on the others: as if
they were independent, intervals would be far too short. So all uncertainty here is between groups, and comes
from the sums over each group alone:

- of an accuracy, `Sums.interval`: the Clopper-Pearson interval of Korn and Graubard for clustered data;
- of differences and of whatever else is computed of accuracies, `draws`: a cluster bootstrap;
- of no difference at all, `sign_flip_p`: a paired permutation test.

Everything is about these networks on other videos like these: seeds are averaged first, within a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import product

import numpy as np
from scipy.stats import beta, norm, t

from i3d_lightning.results.predictions import Predictions, aligned

DRAWS = 2000
"""Replicates of a bootstrap."""
FLIPS = 10_000
"""Draws of a permutation test; with fewer ways to flip than that, all are taken."""
_TAIL = 0.025
"""Probability on either side of a 95 % interval."""


@dataclass(frozen=True)
class Sums:
    """How many videos of each group are right, in each split: what accuracy and its uncertainty come from.

    Accuracy is the mean over splits of the share of videos that are right.

    Attributes:
        groups: Names, sorted, n of them.
        right: Videos that are right, each averaged over seeds, shape (n, splits).
        videos: Videos, shape (n, splits).
        distinct: Number of videos, where each counts once though splits may share it.
    """

    groups: tuple[str, ...]
    right: np.ndarray
    videos: np.ndarray
    distinct: int

    @classmethod
    def of(cls, splits: Sequence[Sequence[Predictions]], k: int = 1) -> Sums:
        """Sum up the predictions of every seed in each split: right is what is among the k best.

        Raises:
            InputError: Seeds of one split are of different videos.
        """
        names = sorted({group for split in splits for group in _numbered(split[0].groups)[0]})
        place = {name: row for row, name in enumerate(names)}
        right, videos = np.zeros((2, len(names), len(splits)))
        for column, split in enumerate(splits):
            own, group = _numbered(split[0].groups)
            rows = [place[name] for name in own]
            right[rows, column] = np.bincount(group, correctness(split, k))
            videos[rows, column] = np.bincount(group)
        distinct = len(split[0].ids) if len(splits) == 1 else len({v for s in splits for v in s[0].ids})
        return cls(tuple(names), right, videos, distinct)

    @property
    def shares(self) -> np.ndarray:
        """Accuracy of each split, from 0 to 1."""
        return self.right.sum(axis=0) / self.videos.sum(axis=0)

    @property
    def accuracy(self) -> float:
        """Accuracy in percent."""
        return 100.0 * float(self.shares.mean())

    def parts(self, values: np.ndarray) -> np.ndarray:
        """Give what each group contributes to the mean over splits, of values as `right` has them."""
        return (values / self.videos.sum(axis=0)).mean(axis=1)

    @property
    def effective_groups(self) -> float:
        """The number of groups of one size that say as much as these (Kish 1965): at most as many."""
        return float(1.0 / (self.parts(self.videos) ** 2).sum())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy in percent.

        Clopper and Pearson's exact binomial interval for as many independent videos as say as much as these
        (Korn and Graubard, Survey Methodology 24, 1998; the standard of the U.S. National Center for Health
        Statistics, Parker et al. 2017). How many these are comes from the variance between groups and
        Student's t, with as many degrees of freedom as groups hold the rarer answer, right or wrong, as these
        alone tell how alike the videos of a group are, and fewer where groups of very different sizes say as
        much as a few; never fewer than `effective_groups`, nor more than the videos.

        With an intraclass correlation of 0.46 this holds the truth in 95 % of samples or more, from 4 groups
        on; the percentiles of a cluster bootstrap in 73 to 95 % of 40 to 120 groups, least where few err, and
        where all are right they are no interval (tests/results/test_resampling.py).
        """
        share = float(self.shares.mean())
        number = self.effective_groups
        between = self.parts(self.right - self.shares * self.videos)
        mixed = min(
            int((self.right > 0).any(axis=1).sum()), int((self.right < self.videos).any(axis=1).sum())
        )
        freedom = min(mixed, number - 1)
        if freedom and np.abs(between).max() > 1e-12:
            variance = (between**2).sum() * len(self.groups) / (len(self.groups) - 1)
            found = share * (1 - share) / variance * (norm.ppf(_TAIL) / t.ppf(_TAIL, freedom)) ** 2
            number = min(max(found, number), max(self.distinct, number))
        right, wrong = number * share, number * (1 - share)
        low = beta.ppf(_TAIL, right, wrong + 1) if right > 1e-9 else 0.0
        high = beta.ppf(1 - _TAIL, right + 1, wrong) if wrong > 1e-9 else 1.0
        return 100.0 * float(low), 100.0 * float(high)

    def draws(self, dataset: str) -> np.ndarray:
        """Give bootstrap replicates of the accuracy in percent, shape (draws,).

        So that percentiles of what is computed of them are an interval, those of few groups are spread, and
        may leave 0 to 100. With fewer than 10 groups it may still be a little short; that of
        `statistics.compare`, which knows how many differ, is not. Of a single group they are NaN: it says
        nothing of others.

        Args:
            dataset: Name of the data set: replicates of two cells of one are paired.
        """
        if len(self.groups) == 1:
            return np.full(DRAWS, np.nan)
        replicates = self.replicates(dataset, counts=True)
        return wider(replicates, self.accuracy, len(self.groups), self.effective_groups)

    def replicates(self, dataset: str, *, counts: bool = False) -> np.ndarray:
        """Give the accuracy in percent of resampled groups, shape (draws,).

        Every group gets the same weights wherever it is met in a data set, so that replicates of two cells
        are paired: their differences are replicates of the difference. The weights are exponential (Rubin's
        Bayesian bootstrap, 1981) instead of counts: no split can come out empty. But so no group is ever left
        out, and what a few say has a sign in all draws; who cannot know how many these are takes counts.

        Args:
            dataset: Name of the data set.
            counts: How often a group is drawn, by Poisson with mean 1, instead; NaN where a split is empty.
        """
        weights = _weights(dataset, self.groups, counts)
        right, videos = (weights @ values.astype(np.float32) for values in (self.right, self.videos))
        with np.errstate(invalid="ignore"):
            return 100.0 * (right / videos).astype(float).mean(axis=1)


def correctness(seeds: Sequence[Predictions], k: int = 1) -> np.ndarray:
    """Give how often each video is right, from 0 to 1: seeds are no new videos.

    Raises:
        InputError: They are of different videos.
    """
    return np.mean([aligned(seeds[0], seed).correct(k) for seed in seeds], axis=0)


def wider(replicates: np.ndarray, value: float, telling: int, groups: float) -> np.ndarray:
    """Spread replicates so that their percentiles are those of Student's t: else few lie too close together.

    As Hesterberg (The American Statistician 69, 2015) does with their quantiles. The variance by exponential
    weights is also (n - 1) / (n + 1) of that of a mean.

    Args:
        replicates: Of a number.
        value: The number itself.
        telling: How many groups tell of the variance.
        groups: The number of groups of one size that say as much, above 1.
    """
    freedom = max(1.0, min(telling, groups - 1))
    factor = t.ppf(_TAIL, freedom) / norm.ppf(_TAIL) * np.sqrt((groups + 1) / (groups - 1))
    return value + factor * (replicates - value)


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Give the 95 % interval that replicates say; one that is NaN, as it is unknown, is beyond either end."""
    low = np.quantile(np.nan_to_num(draws, nan=-np.inf), _TAIL, method="lower")
    high = np.quantile(np.nan_to_num(draws, nan=np.inf), 1 - _TAIL, method="higher")
    return float(low), float(high)


def bound(effective_groups: float) -> float:
    """Give the largest share that is likely of what was seen in none of so many groups, in percent.

    It is Clopper and Pearson's upper limit of 0, where replicates would all be the same.
    """
    return 100.0 * (1 - _TAIL ** (1 / effective_groups))


def sign_flip_p(changes: np.ndarray) -> float:
    """Test that two networks are equal, by flipping the change of whole groups at random (two-sided).

    If they are, either could have given what the other did on a group. All ways to flip are taken where there
    are at most `FLIPS`; else so many are drawn, and what was observed is one of them: (b + 1) / (B + 1) is
    never 0 (Phipson and Smyth 2010).

    Args:
        changes: Of each group, what it contributes to the difference.
    """
    changes = changes[np.abs(changes) > 1e-12]
    if not len(changes):
        return 1.0
    observed = abs(changes.sum()) - 1e-9 * np.abs(changes).max()  # what is equal but for rounding counts
    if 2 ** len(changes) <= FLIPS:
        every = np.array(list(product((-1, 1), repeat=len(changes))))
        return float((np.abs(every @ changes) >= observed).mean())
    random = np.random.default_rng(0)
    beyond = 0
    for _ in range(10):  # all flips of Kinetics at once would fill gigabytes
        flips = random.integers(0, 2, (FLIPS // 10, len(changes)), dtype=np.int8)
        beyond += int((np.abs(changes.sum() - 2 * (flips @ changes)) >= observed).sum())
    return (beyond + 1) / (FLIPS + 1)


@lru_cache(maxsize=64)
def _numbered(groups: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """The names of groups, sorted, and for each video the number of its own."""
    names, number = np.unique(np.array(groups), return_inverse=True)
    return names.tolist(), number


@lru_cache(maxsize=8)
def _weights(dataset: str, groups: tuple[str, ...], counts: bool) -> np.ndarray:
    """The weight of every group in each draw, shape (draws, groups): by its name alone."""
    weights = np.empty((DRAWS, len(groups)), np.float32)
    for column, group in enumerate(groups):
        key = int.from_bytes(sha256(f"{dataset}\n{group}".encode()).digest()[:16], "big")
        random = np.random.Generator(np.random.Philox(key=key))
        weights[:, column] = random.poisson(1, DRAWS) if counts else random.standard_exponential(DRAWS)
    return weights
