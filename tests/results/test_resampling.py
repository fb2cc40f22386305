"""Whether intervals hold the truth as often as they say, on data whose groups are alike, as UCF-101's are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from results.made import judged
from scipy.stats import beta, norm

from i3d_lightning.results.resampling import DRAWS, Sums, bound, percentiles, sign_flip_p
from i3d_lightning.results.statistics import compare

CORRELATION = 0.46
"""Of two clips of one group, as measured on UCF-101."""


def clustered(random, groups: int, share: float, of: int = 5) -> Sums:
    """Groups of different sizes, each with its own share of videos that are right."""
    scale = (1 - CORRELATION) / CORRELATION
    own = random.beta(share * scale, (1 - share) * scale, groups)
    sizes = np.maximum(1, random.poisson(of, groups))
    return sums(random.binomial(sizes, own), sizes)


def sums(right, sizes) -> Sums:
    names = tuple(f"g{n:04d}" for n in range(len(sizes)))
    right, sizes = np.array(right, float)[:, None], np.array(sizes, float)[:, None]
    return Sums(names, right, sizes, int(sizes.sum()))


def over_videos(found: Sums) -> Sums:
    """The same videos, each taken for a group of its own."""
    right, videos = int(found.right.sum()), int(found.videos.sum())
    return sums(np.arange(videos) < right, np.ones(videos))


@pytest.mark.parametrize(
    ("groups", "share"), [(4, 0.8), (10, 0.95), (40, 0.95), (120, 0.98), (120, 0.8), (700, 0.95)]
)
def test_the_interval_over_groups_holds_the_truth_and_that_over_videos_does_not(groups, share):
    random = np.random.default_rng(groups)
    samples = [clustered(random, groups, share) for _ in range(400)]
    covered = [low <= 100 * share <= high for low, high in (s.interval for s in samples)]
    assert np.mean(covered) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 400)
    if groups >= 120:
        assert np.mean(covered) < 0.99  # and it is no longer than it must be
        videos = [
            low <= 100 * share <= high for low, high in (over_videos(s).interval for s in samples[:100])
        ]
        assert np.mean(videos) < 0.85


def test_the_interval_of_independent_videos_is_the_exact_binomial_one():
    """Of groups of one video each, whose variance between groups is the binomial one."""
    low, high = sums(np.arange(1000) < 800, np.ones(1000)).interval
    exact = 100 * beta.ppf(0.025, 800, 201), 100 * beta.ppf(0.975, 801, 200)
    assert (low, high) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(("right", "groups"), [(True, 12), (False, 12), (True, 700)])
def test_all_right_is_no_certainty(right, groups):
    """Where nothing varies, every group is one observation, with Clopper and Pearson's bound."""
    found = sums(np.full(groups, 5 * right), np.full(groups, 5)).interval
    likely = 100 * (1 - 0.025 ** (1 / groups))
    assert found == pytest.approx((100 - likely, 100) if right else (0, likely))
    assert bound(groups) == pytest.approx(likely)


def test_one_mistake_makes_no_number_surer_than_none():
    """The percentiles of a bootstrap would: from no interval at all, or its bound, to almost none."""
    right = np.full(700, 5)
    none = sums(right, np.full(700, 5)).interval
    right[0] = 4
    one = sums(right, np.full(700, 5)).interval
    assert one[0] < none[0]
    assert one[1] < none[1] == 100


def test_a_large_group_is_no_more_than_one_source():
    equal = sums(np.full(10, 5), np.full(10, 5))
    uneven = sums([*np.full(9, 1), 41], [*np.full(9, 1), 41])
    assert equal.effective_groups == pytest.approx(10)
    assert uneven.effective_groups == pytest.approx(50**2 / (9 + 41**2))
    assert uneven.interval[0] < equal.interval[0]


@pytest.mark.parametrize(("groups", "shares"), [(6, (0.5, 0.66)), (20, (0.89, 0.95)), (60, (0.89, 0.89))])
def test_the_interval_of_a_difference_holds_it_also_where_few_groups_differ(groups, shares):
    """Two networks that find the same groups hard: paired, so that the difference is all that is unsure."""
    random = np.random.default_rng(groups)
    names = [f"g{n // 5}" for n in range(5 * groups)]
    limits = norm.ppf(shares) * np.sqrt(1.5)
    held, draws = [], []
    for _ in range(120):
        alike = random.normal(size=(groups, 1))
        noise = random.normal(size=(2, groups, 1)) / 2 + random.normal(size=(2, groups, 5)) / 2
        pair = [
            [[judged((alike + own < limit).ravel(), groups=names)]]
            for own, limit in zip(noise, limits, strict=True)
        ]
        found = compare(*pair, "set")
        held.append(found.low <= 100 * (shares[1] - shares[0]) <= found.high)
        before, after = (Sums.of(one).draws("set") for one in pair)
        low, high = percentiles(after - before)
        draws.append(low <= 100 * (shares[1] - shares[0]) <= high)
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 120)
    assert np.mean(draws) >= (0.9 if groups == 60 else 0.8)  # what is made of them is a little short


def test_draws_follow_a_group_wherever_it_is():
    """Those of two cells are paired though one has another group more; other data sets have others."""
    few = Sums.of([[judged([True, False, True, True], ids="abcd")]])
    more = Sums.of([[judged([True, False, True, True, True], ids="abcde")]])
    assert few.draws("set").shape == (DRAWS,)
    assert np.corrcoef(few.replicates("set"), more.replicates("set"))[0, 1] > 0.9
    assert abs(np.corrcoef(few.replicates("set"), few.replicates("another"))[0, 1]) < 0.1
    again = Sums.of([[judged([True, False, True, True], ids="abcd")]])
    assert np.array_equal(few.draws("set"), again.draws("set"), equal_nan=True)


@pytest.mark.parametrize("groups", [8, 16])
def test_the_permutation_test_keeps_its_level(groups):
    """Two equal networks on groups of alike videos: in 5 % of samples or fewer p is below 0.05."""
    random = np.random.default_rng(1)
    changes = random.normal(size=(800, groups)) * random.exponential(size=(800, groups))
    ps = np.array([sign_flip_p(change) for change in changes])
    assert np.mean(ps <= 0.05) == pytest.approx(0.05, abs=2 * np.sqrt(0.05 * 0.95 / 800))
    assert np.mean(ps <= 0.5) == pytest.approx(0.5, abs=0.05)


def test_the_permutation_test_is_exact_for_few_groups_and_never_zero():
    changes = np.array([3.0, -1.0, 2.0, 0.0, 0.5])
    every = [abs(np.dot(signs, changes[changes != 0])) for signs in product((-1, 1), repeat=4)]
    assert sign_flip_p(changes) == np.mean(np.array(every) >= 4.5)
    assert sign_flip_p(np.ones(13)) == pytest.approx(2 / 2**13)
    assert sign_flip_p(np.ones(300)) == 1 / 10_001
    assert sign_flip_p(np.zeros(9)) == sign_flip_p(np.zeros(0)) == 1


@pytest.mark.parametrize("sizes", [[50] + [1] * 50, [500] + [5] * 100])
def test_one_large_group_makes_no_interval_too_short(sizes):
    """By as many degrees of freedom as there are groups it held the truth in 90 and 84 %."""
    random = np.random.default_rng(0)
    scale = (1 - CORRELATION) / CORRELATION
    held = []
    for _ in range(300):
        own = random.beta(0.8 * scale, 0.2 * scale, len(sizes))
        low, high = sums(random.binomial(sizes, own), sizes).interval
        held.append(low <= 80 <= high)
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 300)


def test_a_difference_is_no_surer_for_one_large_group():
    """By as many degrees of freedom as there are groups its interval held the truth in 82 %."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(51), [250] + [5] * 50)
    names, limits = [f"g{g}" for g in group], norm.ppf([0.7, 0.85]) * np.sqrt(1.5)
    held = []
    for _ in range(100):
        alike = random.normal(size=51)[group]
        noise = random.normal(size=(2, 51))[:, group] / 2 + random.normal(size=(2, len(group))) / 2
        pair = [
            [[judged(alike + own < limit, groups=names)]] for own, limit in zip(noise, limits, strict=True)
        ]
        found = compare(*pair, "set")
        held.append(found.low <= 15 <= found.high)
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 100)


def test_a_single_group_says_nothing_of_others():
    """Replicates of it would all be the same, as if they were sure."""
    one = Sums.of([[judged([True, True, False], groups=["g"] * 3)]])
    assert np.isnan(one.draws("set")).all()
    assert percentiles(one.draws("set")) == (-np.inf, np.inf)
    low, high = one.interval
    assert low < 3
    assert high > 99


@pytest.mark.parametrize(("videos", "groups"), [(160, 100), (49, 40), (21, 4)])
def test_no_difference_at_all_has_a_p_of_1_whatever_is_rounded(videos, groups):
    changes = np.tile([3, -4, 5, -4], groups // 4) / 3 / videos
    assert sign_flip_p(changes) == 1


def test_what_is_made_of_draws_is_no_surer_than_it_may_be_where_few_err():
    """A share of the error taken away, in 40 groups with 5 % wrong: exponential weights held it in 89 %."""
    random = np.random.default_rng(0)
    groups, shares, held = 40, (0.8, 0.95, 0.8, 0.95), []
    names = [f"g{n // 5}" for n in range(5 * groups)]
    for _ in range(300):
        alike = np.repeat(random.normal(size=groups), 5)
        cells = []
        for share in shares:
            noise = np.repeat(random.normal(size=groups), 5) / 2 + random.normal(size=5 * groups) / 2
            right = alike + noise < norm.ppf(share) * np.sqrt(1.5)
            cells.append(Sums.of([[judged(right, groups=names)]]))
        if max(cell.accuracy for cell in cells) == 100:  # of these findings know nothing
            continue
        draws = [cell.draws("set") for cell in cells]
        one, other = (100 * (after - before) / (100 - before) for before, after in (draws[:2], draws[2:]))
        low, high = percentiles(other - one)
        held.append(low <= 0 <= high)
    assert np.mean(held) >= 0.92
