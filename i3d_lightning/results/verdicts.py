"""How a conclusion is judged: by intervals, never by a sign.

Most conclusions say that every one of several differences is positive. There are two ways to be wrong
about such a statement, and each has its own guard at `LEVEL`:

- *supported*: every difference is significantly positive, and its 95 % interval lies above zero. This is
  wrong only where one of them is not positive and that very test errs: an intersection-union test, which
  keeps its level without a correction (Berger, "Multiparameter hypothesis testing and acceptance sampling",
  Technometrics 24, 1982).
- *contradicted*: some difference is significantly negative. Each comparison is one more chance to err here,
  so p is adjusted over all comparisons of the conclusion (Holm, "A simple sequentially rejective multiple
  test procedure", Scandinavian Journal of Statistics 6, 1979).
- *undecided*: neither; there are too few videos for so small a difference.

The level is about the videos: what the same trained networks would do on others of their kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from i3d_lightning.results.numbers import Difference

Verdict = Literal["supported", "undecided", "contradicted", "not run"]
LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """A statement and what numbers say of it.

    Attributes:
        statement: What the paper concludes, and where.
        verdict: What the numbers that there are say of it.
        evidence: Each comparison in words, with its interval, p and number of videos.
        compared: How many of its comparisons there are numbers for.
        of: How many it is about.
    """

    statement: str
    verdict: Verdict
    evidence: tuple[str, ...]
    compared: int
    of: int

    def __str__(self) -> str:
        heading = f"{self.verdict:<13} {self.statement}; {self.compared} of {self.of} comparisons"
        return f"\n{'':<14}".join((heading, *self.evidence))


def every(statement: str, differences: Mapping[str, Difference | None]) -> Finding:
    """Judge whether each of these differences, by what it is called, is positive."""
    found = {name: d for name, d in differences.items() if d is not None}
    if not found:
        return Finding(statement, "not run", (), 0, len(differences))
    adjusted = dict(zip(found, holm([d.p for d in found.values()]), strict=True))
    verdict: Verdict = "undecided"
    if all(d.low > 0 and d.p <= LEVEL for d in found.values()):
        verdict = "supported"
    elif any(d.high < 0 and adjusted[name] <= LEVEL for name, d in found.items()):
        verdict = "contradicted"
    evidence = tuple(
        f"{name}: {d.difference:+.1f} [{d.low:+.1f}, {d.high:+.1f}], p {_p(d.p)} "
        f"(Holm {_p(adjusted[name])}), {_videos(d)}"
        for name, d in found.items()
    )
    return Finding(statement, verdict, evidence, len(found), len(differences))


def holm(p: Sequence[float]) -> list[float]:
    """Adjust the p-values of one family, in their order (Holm 1979)."""
    order = np.argsort(p)
    steps = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


def _p(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-4 else "< 0.0001"


def _videos(difference: Difference) -> str:
    if difference.groups is None:
        return f"{difference.videos} videos taken as independent"
    return f"{difference.videos} videos in {difference.groups} groups"


@dataclass(frozen=True)
class Drawn:
    """A difference of anything that can be computed from draws of top-1.

    Attributes:
        difference: As computed from top-1 itself.
        low: Lower end of the 95 % percentile interval.
        high: Its upper end.
        p: Two-sided, of no difference.
        videos: Number of test videos.
        groups: Number of their groups, None where each video counts as its own.
    """

    difference: float
    low: float
    high: float
    p: float
    videos: int
    groups: int | None


def drawn(difference: float, draws: np.ndarray, basis: Difference) -> Drawn:
    """Say how sure a difference is, by its draws (n).

    p doubles (1 + draws that are not on that side) / (1 + n) of the likelier side (Davison and Hinkley,
    "Bootstrap Methods and their Application", 1997, section 4.2). A draw that is NaN, as it could not be
    computed, is on neither side.

    Args:
        difference: As computed from top-1 itself.
        draws: As computed from each draw of top-1.
        basis: A comparison on the same videos.
    """
    against = min(np.count_nonzero(~(draws > 0)), np.count_nonzero(~(draws < 0)))
    low = np.quantile(np.nan_to_num(draws, nan=-np.inf), 0.025, method="lower")
    high = np.quantile(np.nan_to_num(draws, nan=np.inf), 0.975, method="higher")
    p = min(1.0, 2 * (1 + against) / (1 + len(draws)))
    return Drawn(difference, float(low), float(high), p, basis.videos, basis.groups)


def alike(statement: str, rankings: Mapping[str, Mapping[str, tuple[float, np.ndarray]]], of: int) -> Finding:
    """Judge whether rankings agree, be it with a swap, by Kendall's tau averaged over pairs of them.

    Rankings without anything in common agree by chance too, the more often the shorter they are. So they are
    alike (*supported*) where 95 % of the draws agree as rankings drawn by lot do in at most 5 % of cases,
    which are counted, and *contradicted* where 95 % of the draws disagree as those do in at most 5 %.

    Args:
        statement: That they are alike.
        rankings: For each place, what is ranked there: its value, and the value's draws (n). Places where
            fewer than three are ranked are left out, and what is not ranked in all others.
        of: How many values there could be.
    """
    rankings = {place: values for place, values in rankings.items() if len(values) > 2}
    shared = sorted(set.intersection(*map(set, rankings.values()))) if rankings else []
    if len(rankings) < 2 or len(shared) < 3:
        return Finding(statement, "not run", (), 0, of)
    values = [np.array([by_name[name][0] for name in shared]) for by_name in rankings.values()]
    draws = [np.array([by_name[name][1] for name in shared]) for by_name in rankings.values()]
    tau, tau_drawn = (_agreement([_order(v) for v in kind]) for kind in (values, draws))
    least, most = _beyond_chance(len(shared), len(rankings))
    same, opposite = float(np.mean(tau_drawn >= most)), float(np.mean(tau_drawn <= least))
    verdict: Verdict = "undecided"
    if max(same, opposite) >= 1 - LEVEL:
        verdict = "supported" if same > opposite else "contradicted"
    low, high = np.percentile(tau_drawn, (2.5, 97.5))
    orders = [
        f"{place}: " + " > ".join(f"{shared[i]} ({v[i]:.1f})" for i in np.argsort(-v, kind="stable"))
        for place, v in zip(rankings, values, strict=True)
    ]
    words = (
        f"mean Kendall's tau {tau:+.2f} [{low:+.2f}, {high:+.2f}]: {100 * same:.0f} % of the draws agree, "
        f"and {100 * opposite:.0f} % disagree, as rankings drawn by lot do in at most {100 * LEVEL:.0f} %"
    )
    return Finding(statement, verdict, (*orders, words), len(rankings) * len(shared), of)


def _order(values: np.ndarray) -> np.ndarray:
    """Say of each pair of values (n ...) which is larger (pairs ...): 1, -1, or 0 for a tie."""
    one, other = np.triu_indices(len(values), 1)
    return np.sign(values[one] - values[other])


def _agreement(orders: Sequence[np.ndarray]) -> np.ndarray:
    """Kendall's tau, averaged over all pairs of rankings; rounded, so that equal ones are equal."""
    tau = [(one * other).mean(0) for one, other in combinations(orders, 2)]
    return np.asarray(sum(tau) / len(tau)).round(9)


def _beyond_chance(length: int, rankings: int) -> tuple[float, float]:
    """Give the agreement that rankings drawn by lot fall to, and that which they reach, in at most `LEVEL`.

    All of them are counted, the first one being held fixed. Infinite where there are too few for that.
    """
    every = _order(np.array(list(permutations(range(length)))).T)
    orders = [every[:, :1].reshape(-1, *[1] * (rankings - 1))]
    for place in range(rankings - 1):
        shape = [1] * (rankings - 1)
        shape[place] = -1
        orders.append(every.reshape(len(every), *shape))
    found, counts = np.unique(_agreement(orders), return_counts=True)
    low, high = np.cumsum(counts) / counts.sum(), np.cumsum(counts[::-1])[::-1] / counts.sum()
    return max(found[low <= LEVEL], default=-np.inf), min(found[high <= LEVEL], default=np.inf)
