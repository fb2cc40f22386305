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
from functools import cache
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from i3d_lightning.results.numbers import Difference
from i3d_lightning.results.resampling import percentiles

Verdict = Literal["supported", "undecided", "contradicted", "not run"]
LEVEL = 0.05
NOTE = (
    "Differences are in points of top-1 in percent, or of the error where that is said, with 95 % intervals. "
    "p is two-sided; after Holm's correction, which only a contradiction needs, it is in brackets. "
    "Supported: all intervals are above 0 with p at most 0.05. Contradicted: one is below 0 with Holm's p at "
    "most 0.05. Only comparisons that there are numbers for are judged."
)
"""What a reader of findings must know."""


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
    if difference.groups in (None, difference.videos):
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
    p = min(1.0, 2 * (1 + against) / (1 + len(draws)))
    return Drawn(difference, *percentiles(draws), p, basis.videos, basis.groups)


Ranking = Mapping[str, tuple[float, np.ndarray]]
"""By what is ranked: its value, and the value's draws (n)."""


def alike(statement: str, rankings: Mapping[str, Ranking]) -> Finding:
    """Judge whether rankings, by where they are from, are alike: by Kendall's tau of every two of them.

    Rankings that have nothing in common agree by chance too, the more often the shorter they are, so tau is
    held against all orders that there are (Kendall's exact test, one-sided: of five, a swap of neighbours is
    still agreement, with p = 5 / 120). Two rankings are alike where 95 % of the draws agree so at `LEVEL`,
    and opposite where 95 % disagree so at `LEVEL` divided by the number of comparisons, the first step of
    Holm's. *Supported* where all are alike, *contradicted* where some are opposite.
    """
    known = {place: ranking for place, ranking in rankings.items() if ranking}
    pairs = list(combinations(known, 2))
    shared = {(a, b): [name for name in known[a] if name in known[b]] for a, b in pairs}
    shared = {pair: names for pair, names in shared.items() if len(names) > 2}
    of = len(rankings) * (len(rankings) - 1) // 2
    if not shared:
        return Finding(statement, "not run", (), 0, of)
    evidence = [f"{place}: {_in_order(ranking)}" for place, ranking in known.items()]
    all_alike, some_opposite = True, False
    for (a, b), names in shared.items():
        tau = _tau(*(np.array([known[place][name][0] for name in names]) for place in (a, b)))
        draws = _tau(*(np.array([known[place][name][1] for name in names]) for place in (a, b)))
        same = np.mean(draws >= _beyond_chance(len(names), LEVEL))
        opposite = np.mean(-draws >= _beyond_chance(len(names), LEVEL / len(shared)))
        all_alike &= bool(same >= 1 - LEVEL)
        some_opposite |= bool(opposite >= 1 - LEVEL)
        low, high = np.clip(percentiles(draws), -1, 1)
        evidence.append(
            f"{a} and {b}: Kendall's tau {tau:+.2f} [{low:+.2f}, {high:+.2f}], "
            f"beyond chance in {100 * max(same, opposite):.0f} % of the draws"
        )
    verdict: Verdict = "supported" if all_alike else "contradicted" if some_opposite else "undecided"
    return Finding(statement, verdict, tuple(evidence), len(shared), of)


def _in_order(ranking: Ranking) -> str:
    names = sorted(ranking, key=lambda name: -ranking[name][0])
    return " > ".join(f"{name} ({ranking[name][0]:.1f})" for name in names)


def _tau(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kendall's tau of two rankings by their values (n ...); a tie is neither agreement nor its opposite."""
    above, below = np.triu_indices(len(one), 1)
    agree = np.sign(one[above] - one[below]) * np.sign(other[above] - other[below])
    return agree.mean(0).round(9)


@cache
def _beyond_chance(length: int, level: float) -> float:
    """Give the least tau that at most this share of all orders reach; infinite where they are too few."""
    orders = np.array(list(permutations(range(length)))).T
    taus, counts = np.unique(_tau(np.arange(length)[:, None], orders), return_counts=True)
    return min(taus[np.cumsum(counts[::-1])[::-1] / counts.sum() <= level], default=np.inf)
