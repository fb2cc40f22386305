from __future__ import annotations

import numpy as np
import pytest
from results.made import predictions as made

from i3d_lightning.errors import InputError
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.results.statistics import class_changes, compare, confusion, interval, per_class, pooled


def predictions(answers, labels, classes=3) -> Predictions:
    """Predictions whose best class is given, or None for an unreadable video."""
    logits = np.stack(
        [np.full(classes, np.nan) if a is None else np.eye(classes)[a] for a in answers]
    ).astype(np.float32)
    return made(logits, labels)


def test_the_interval_is_the_binomial_one():
    right = np.arange(100) < 80
    assert interval(100.0 * right, samples=5000) == pytest.approx((72, 87.5), abs=1.5)  # 80 ± 1.96 * 4.0


@pytest.mark.parametrize("n", [1, 2, 12, 151])
def test_the_interval_is_that_of_plain_resampling(n):
    values = np.random.default_rng(n).choice([-100.0, 0.0, 100.0], n)
    draws = np.random.default_rng(0).integers(0, n, (2000, n))
    assert interval(values) == pytest.approx(np.percentile(values[draws].mean(axis=1), [2.5, 97.5]), abs=1e-9)


def test_mcnemar_is_the_exact_binomial_on_what_changed():
    labels = [0] * 20
    one = predictions([1] * 9 + [0] * 11, labels)
    other = predictions([0] * 8 + [1] * 1 + [0] * 10 + [1], labels)  # 8 gained, 1 lost
    found = compare(one, other)
    assert (found.gained, found.lost, found.videos) == (8, 1, 20)
    assert found.difference == pytest.approx(35.0)
    assert found.p == pytest.approx(2 * (1 + 9) / 2**9)
    assert found.low < 35 < found.high


def test_equal_predictions_do_not_differ():
    one = predictions([0, 1, 2], [0, 1, 1])
    found = compare(one, one)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


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


def test_splits_are_pooled_apart():
    one = predictions([0, 1], [0, 0])
    both = pooled([one, one])
    assert len(set(both.ids)) == 4
    assert both.accuracy() == 50


def test_the_confusion_of_a_tie_is_with_another_class():
    one = made(np.zeros((2, 3)), [0, 1])
    assert np.diag(confusion(one, list("abc")).to_numpy()).sum() == one.correct().sum() == 0


def test_predictions_scored_against_other_labels_are_not_compared():
    one, other = predictions([0, 1], [0, 1]), predictions([0, 1], [1, 0])
    with pytest.raises(InputError, match="scored against different labels"):
        compare(one, other)
