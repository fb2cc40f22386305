from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from results.made import judged
from results.made import predictions as made

from i3d_lightning.errors import InputError
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.results.resampling import Sums
from i3d_lightning.results.statistics import class_changes, confusion, per_class, total_deviation
from i3d_lightning.results.statistics import compare as compare_splits


def predictions(answers, labels, classes=3) -> Predictions:
    """Predictions whose best class is given, or None for an unreadable video."""
    logits = np.stack(
        [np.full(classes, np.nan) if a is None else np.eye(classes)[a] for a in answers]
    ).astype(np.float32)
    return made(logits, labels)


def compare(one, other):
    return compare_splits([[one]], [[other]], "ucf101")


def test_mcnemar_is_the_exact_binomial_on_what_changed():
    labels = [0] * 20
    one = predictions([1] * 9 + [0] * 11, labels)
    other = predictions([0] * 8 + [1] * 1 + [0] * 10 + [1], labels)  # 8 gained, 1 lost
    found = compare(one, other)
    assert (found.gained, found.lost, found.videos) == (8, 1, 20)
    assert found.difference == pytest.approx(35.0)
    # Of 9 videos that differ, each a group: the sign test, whose exact form is McNemar's.
    assert found.p == found.mcnemar == pytest.approx(2 * (1 + 9) / 2**9)
    assert 0 < found.low < 35 < found.high


def test_equal_predictions_do_not_differ_but_others_might():
    """Nothing was seen to change in 3 groups: by Clopper and Pearson, up to 71 % still may."""
    one = predictions([0, 1, 2], [0, 1, 1])
    found = compare(one, one)
    assert (found.difference, found.p, found.mcnemar) == (0, 1, 1)
    assert (-found.low, found.high) == pytest.approx([100 * (1 - 0.025 ** (1 / 3))] * 2)


def random_pair(groups, of=5, seed=0):
    """Two networks on groups whose videos are alike; the second is better."""
    random = np.random.default_rng(seed)
    alike = np.repeat(random.random(groups), of)
    names = [f"g{n // of}" for n in range(groups * of)]
    return [judged((0.3 * random.random(groups * of) + alike) < share, groups=names) for share in (0.8, 0.95)]


def test_videos_of_one_group_are_flipped_and_resampled_together():
    """Whole groups that differ are one piece of evidence each; McNemar takes each video for one."""
    names = [f"g{n // 5}" for n in range(60)]
    one, other = judged([n >= 30 for n in range(60)], groups=names), judged([True] * 60, groups=names)
    found = compare(one, other)
    assert (found.gained, found.lost, found.videos, found.groups) == (30, 0, 60, 12)
    assert found.p == pytest.approx(2 / 2**6)
    assert found.mcnemar == pytest.approx(2 / 2**30)
    alone = compare(*(judged(p.correct()) for p in (one, other)))
    assert (alone.groups, alone.mcnemar) == (60, found.mcnemar)
    assert found.high - found.low > 2 * (alone.high - alone.low)
    assert "30 gained, 0 lost; paired permutation test over groups p = 0.031, exact McNemar" in str(found)
    assert "as if videos were independent, p = 1.9e-09" in str(found)


@pytest.mark.parametrize("times", [3, 5])
def test_a_repeated_seed_changes_no_p_value_and_no_interval(times):
    """Seeds are no new videos: before, 1, 3 and 5 times the same gave p = 0.13, 0.005 and 0.0002."""
    one, other = random_pair(30)
    once = compare_splits([[one]], [[other]], "ucf101")
    again = compare_splits([[one] * times], [[other] * times], "ucf101")
    assert replace(again, mcnemar=once.mcnemar) == once
    assert again.mcnemar is None  # a video that was judged more than once is not several
    assert Sums.of([[one] * times]).interval == Sums.of([[one]]).interval


def test_splits_that_share_videos_say_no_more_than_one():
    """HMDB-51's do: the same predictions in three splits are one piece of evidence, not three."""
    one, other = random_pair(30)
    once = compare_splits([[one]], [[other]], "hmdb51")
    shared = compare_splits([[one]] * 3, [[other]] * 3, "hmdb51")
    numbers = [
        (c.difference, c.low, c.high, c.p, c.gained, c.lost, c.videos, c.groups) for c in (once, shared)
    ]
    assert numbers[0] == pytest.approx(numbers[1])
    assert shared.mcnemar is None


def test_the_mean_of_splits_is_the_mean_of_their_accuracies():
    """As in the paper: a split of more videos counts no more than another."""
    small, large = judged([True, False], ids="ab"), judged([True] * 8, ids="cdefghij")
    worse = judged([False, False], ids="ab")
    found = compare_splits([[worse], [large]], [[small], [large]], "ucf101")
    assert found.difference == pytest.approx((50 + 0) / 2)
    assert (found.videos, found.gained) == (10, 1)
    assert found.mcnemar == 1  # of disjoint splits each video was judged once


def test_the_deviation_of_one_run_is_that_of_pretraining_and_seeds():
    assert total_deviation([[1.0, 2.0, 4.0]]) == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert total_deviation([[1.0], [2.0], [4.0]]) == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert total_deviation([[70.0, 72.0], [60.0, 62.0]]) == pytest.approx(np.sqrt(2 + (100 - 2) / 2))
    random = np.random.default_rng(0)
    draws = [
        total_deviation((3 * random.normal(size=(5, 1)) + 4 * random.normal(size=(5, 3))).tolist())
        for _ in range(400)
    ]
    assert np.mean(np.square(draws)) == pytest.approx(3**2 + 4**2, rel=0.1)


def test_the_order_of_videos_does_not_matter_but_their_identity_does():
    one = predictions([0, 1, 2, 0], [0, 1, 1, 2])
    backwards = one.ordered(one.ids[::-1])
    assert compare(one, backwards).gained == 0
    with pytest.raises(InputError, match="1 videos are in one of them only, such as v3"):
        compare(one, predictions([0, 1, 2], [0, 1, 1]))


def test_classes_that_gain_and_lose():
    labels = [0, 0, 1, 1, 2]
    table = class_changes(predictions([1, 1, 1, 1, 2], labels), predictions([0, 0, 1, 0, 2], labels), "abc")
    assert table["change"].to_dict() == {"a": 100.0, "c": 0.0, "b": -50.0}
    assert list(table.index) == ["a", "c", "b"]
    assert per_class(predictions([0, 1, 1, 1], [0, 0, 1, 1]), "abc")["top1"].to_dict() == {"a": 50, "b": 100}


def test_confusion_counts_every_video_once():
    table = confusion(predictions([0, 1, 1, None], [0, 0, 1, 2]), ["a", "b", "c"])
    assert table.loc["a"].tolist() == [1, 1, 0, 0]
    assert table.loc["c", "unreadable"] == 1
    assert table.to_numpy().sum() == 4
    assert "unreadable" not in confusion(predictions([0], [0]), ["a", "b", "c"])


def test_the_confusion_of_a_tie_is_with_another_class():
    one = made(np.zeros((2, 3)), [0, 1])
    assert np.diag(confusion(one, list("abc")).to_numpy()).sum() == one.correct().sum() == 0


def test_predictions_scored_against_other_labels_are_not_compared():
    one, other = predictions([0, 1], [0, 1]), predictions([0, 1], [1, 0])
    with pytest.raises(InputError, match="scored against different labels"):
        compare(one, other)
    with pytest.raises(InputError, match="grouped differently"):
        compare(one, replace(one, groups=("g", "g")))
