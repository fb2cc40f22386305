from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, kendalltau

from i3d_lightning.results.verdicts import LEVEL, alike, drawn, every, holm


@dataclass(frozen=True)
class Known:
    difference: float
    low: float
    high: float
    p: float
    videos: int = 200
    groups: int | None = 40


BETTER = Known(3.0, 1.0, 5.0, 0.04)
SAME = Known(1.0, -1.0, 3.0, 0.3)
WORSE = Known(-3.0, -5.0, -1.0, 0.02)


def judged(*differences):
    return every("so", {str(number): difference for number, difference in enumerate(differences)})


def test_holm_of_its_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_every_single_difference_must_be_positive_for_support():
    found = judged(*[BETTER] * 10)
    assert found.verdict == "supported", "an intersection-union test needs no correction"
    assert judged(*[BETTER] * 9, SAME).verdict == "undecided"
    assert found.evidence[0] == "0: +3.0 [+1.0, +5.0], p = 0.04 (Holm = 0.4), 200 videos in 40 groups"


def test_a_contradiction_stands_after_holm():
    assert judged(BETTER, WORSE).verdict == "contradicted"
    assert judged(BETTER, BETTER, WORSE).verdict == "undecided", "0.06 after Holm"
    assert judged(BETTER, BETTER, WORSE, None, None).evidence[2].endswith("200 videos in 40 groups")


def test_the_interval_and_p_must_agree():
    assert judged(Known(3.0, -0.1, 6.0, 0.01)).verdict == "undecided"
    assert judged(Known(3.0, 0.1, 6.0, 0.06)).verdict == "undecided"
    assert judged(Known(-3.0, -6.0, 0.1, 0.01)).verdict == "undecided"


def test_what_has_no_numbers_is_counted():
    found = judged(BETTER, None, None)
    assert (found.verdict, found.compared, found.of) == ("supported", 1, 3)
    assert "1 of 3 comparisons" in str(found)
    assert judged(None, None).verdict == "not run"
    assert "taken as independent" in judged(Known(3.0, 1.0, 5.0, 0.04, groups=None)).evidence[0]


def test_draws_that_cannot_be_computed_count_against_both_sides():
    draws = np.linspace(1, 2, 1000)
    sure = drawn(1.5, draws, BETTER)
    assert sure.p == pytest.approx(2 / 1001)
    assert (sure.low, sure.high) == pytest.approx((1.025, 1.975), abs=2e-3)
    draws[:30] = np.nan
    unsure = drawn(1.5, draws, BETTER)
    assert unsure.p == pytest.approx(2 * 31 / 1001)
    assert (unsure.low, unsure.high) == (-np.inf, np.inf)
    assert (unsure.videos, unsure.groups) == (200, 40)


def ranking(values, noise=0.1, rng=None):
    """Draws of each of these values."""
    rng = rng or np.random.default_rng(0)
    return {
        name: (float(v), v + noise * rng.standard_normal(500))
        for name, v in zip("abcde", values, strict=False)
    }


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ((1, 2, 3, 4, 5), "supported"),
        ((1, 2, 4, 3, 5), "supported"),  # a swap
        ((2, 1, 3, 5, 4), "undecided"),  # two
        ((3, 5, 1, 4, 2), "undecided"),
        ((5, 4, 3, 2, 1), "contradicted"),
    ],
)
def test_rankings_may_differ_by_a_swap(other, verdict):
    assert alike("so", {"one": ranking((1, 2, 3, 4, 5)), "other": ranking(other)}).verdict == verdict


def test_kendalls_tau_is_scipys():
    rng = np.random.default_rng(1)
    for _ in range(20):
        one, other = rng.standard_normal((2, 5))
        words = alike("so", {"one": ranking(one), "other": ranking(other)}).evidence[-1]
        assert f"tau {kendalltau(one, other).statistic:+.2f}" in words


def test_close_values_and_short_rankings_decide_nothing():
    close = ranking((1, 1.05, 1.1, 1.15, 1.2))
    assert alike("so", {"one": close, "other": ranking((1, 2, 3, 4, 5))}).verdict == "undecided"
    three = ranking((1, 2, 3))
    assert alike("so", {"one": three, "other": three}).verdict == "undecided", "1 in 6 by chance"
    assert alike("so", {"one": ranking((1, 2)), "other": {}}).verdict == "not run"


def test_rankings_that_have_nothing_in_common_are_alike_as_seldom_as_the_level_says():
    rng = np.random.default_rng(2)
    shuffles = 200
    found = [
        alike("so", {place: ranking(rng.permutation(5), rng=rng) for place in ("one", "other")}).verdict
        for _ in range(shuffles)
    ]
    most = binom.ppf(0.999, shuffles, LEVEL)
    assert found.count("supported") <= most
    assert found.count("contradicted") <= most
    assert found.count("supported") > 0


def seen(truth, rng):
    """A difference in units of its standard error, as a sample shows it."""
    found = rng.normal(truth)
    return Known(found, found - 1.96, found + 1.96, 2 * float(ndtr(-abs(found))))


def test_both_levels_are_kept_where_they_are_hardest_to_keep():
    """Support where all but one difference are large, contradiction where there are many chances for it."""
    rng = np.random.default_rng(3)
    shuffles = 1000
    most = binom.ppf(0.999, shuffles, LEVEL)
    nearly = [judged(seen(0, rng), *[seen(9, rng) for _ in range(9)]).verdict for _ in range(shuffles)]
    assert 0 < nearly.count("supported") <= most
    none = [judged(*[seen(0, rng) for _ in range(20)]).verdict for _ in range(shuffles)]
    assert 0 < none.count("contradicted") <= most
    assert none.count("supported") == 0
