"""Per-video predictions: accuracy, storage and fusion."""

from __future__ import annotations

import numpy as np
import pytest
from results.made import predictions

from i3d_lightning.errors import InputError
from i3d_lightning.results.predictions import Predictions, fuse


def test_accuracy_counts_the_k_best():
    p = predictions([[3, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [0, 0, 0, 9]], [0, 1, 2, 3])
    assert p.accuracy(1) == 50.0
    assert p.accuracy(2) == 75.0
    assert p.accuracy(3) == 100.0


def test_an_unreadable_video_counts_as_wrong_even_in_top5():
    p = predictions([*np.eye(6), *np.full((6, 6), np.nan)], [*range(6), *range(6)])
    assert p.accuracy(1) == p.accuracy(5) == 50.0


@pytest.mark.parametrize("present", [2, 5, 6])
def test_top5_of_five_classes_or_fewer_says_nothing(present):
    """However many the official list has: a network that has learned which are there is always right."""
    p = predictions(np.eye(9)[:present], range(present))
    assert np.isnan(p.accuracy(5)) == (present < 6)
    assert p.as_json() == {"top1": 100.0, "top5": 100.0 if present == 6 else None}


def test_leaked_videos_are_left_out_and_all_else_stays():
    p = predictions(np.eye(4), [0, 1, 3, 2], "abcd", ("g", "g", "h", "i"), leaked="a")
    q = p.without_leaks(leaked="d")
    assert (q.ids, q.groups, q.labels.tolist()) == (("b", "c"), ("g", "h"), [1, 3])
    assert q.accuracy() == 50.0
    assert not q.leaked.any()
    assert q.without_leaks() is q
    with pytest.raises(InputError, match="All 4 test videos leaked"):
        p.without_leaks("bcd")


def test_storing_keeps_every_bit(tmp_path):
    p = predictions(np.random.default_rng(0).normal(size=(5, 7)), range(5), "abcde", list("ggghh"), "ce")
    p.save(tmp_path / "deep" / "predictions.npz")
    q = Predictions.load(tmp_path / "deep" / "predictions.npz")
    assert (q.ids, q.groups, q.leaked.tolist()) == (p.ids, p.groups, p.leaked.tolist())
    assert q.leaked.sum() == 2
    np.testing.assert_array_equal(q.logits, p.logits)
    assert [f.name for f in (tmp_path / "deep").iterdir()] == ["predictions.npz"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "predictions.npz"
    for content in (b"", b"PK\x03\x04 cut off", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"predictions\.npz is missing or damaged"):
            Predictions.load(path)


def test_fusion_averages_logits_video_by_video_whatever_the_order():
    rgb = predictions([[4, 0], [0, 2]], [0, 1], ("a", "b"), ("g", "h"), leaked="a")
    flow = predictions([[6, 0], [0, 2]], [1, 0], ("b", "a"), ("h", "g"))
    fused = fuse(rgb, flow)
    np.testing.assert_allclose(fused.logits, [[2, 1], [3, 1]])
    assert fused.accuracy() == 50.0
    assert (fused.groups, fused.leaked.tolist()) == (("g", "h"), [True, False])  # leaked where either knows
    with pytest.raises(InputError, match="different groups"):
        fuse(rgb, predictions(flow.logits, flow.labels, flow.ids, ("g", "h")))


def test_fusion_refuses_a_video_missing_on_one_side():
    rgb = predictions([[1, 0], [1, 0]], [0, 0], ("a", "b"))
    with pytest.raises(InputError, match="one stream only, such as b"):
        fuse(rgb, predictions([[1, 0]], [0], ("a",)))


def test_ties_count_against():
    constant = predictions(np.zeros((6, 3)), [0, 1, 2, 0, 1, 2])
    assert constant.accuracy(1) == 0.0
    assert predictions([[1, 1, 0], [2, 1, 1]], [0, 0]).accuracy(1) == 50.0
    assert predictions([[1, 1, 0, 0]], [0]).correct(2).all()
    assert not predictions([[0, 1, 0, 0]], [0]).correct(2).any()


def test_answers_agree_with_what_is_counted():
    p = predictions([[1, 1, 0], [0, 3, 1], [np.nan] * 3, [0, 0, 0], [0, 1, 2]], [0, 1, 1, 2, 0])
    assert p.answers().tolist() == [1, 1, -1, 0, 2]
    assert ((p.answers() == p.labels) == p.correct()).all()


@pytest.mark.parametrize(
    ("rows", "labels", "ids", "message"),
    [
        (
            [[1, 0], [np.inf, 0]],
            [0, 0],
            ("a", "b"),
            "of video b are not finite, nor those of 0 others",
        ),
        ([[np.nan, 0], [-np.inf, 0]], [0, 0], ("a", "b"), "video a are not finite, nor those of 1 others"),
        ([[1, 0], [1, 0]], [0, 0], ("a", "a"), "a was predicted twice"),
        ([[1, 0], [1, 0]], [0, 2], ("a", "b"), "b is of class 2, but there are 2"),
        ([[1, 0], [1, 0]], [-1, 0], ("a", "b"), "a is of class -1"),
        ([[1, 0], [1, 0]], [0.0, 1.0], ("a", "b"), "labels float64"),
        ([[1, 0]], [0, 1], ("a", "b"), "each needs a row"),
        ([1, 0], [0, 1], ("a", "b"), "each needs a row"),
        (np.zeros((0, 2)), np.zeros(0, int), (), "Predictions of 0 videos"),
    ],
)
def test_what_would_be_counted_wrongly_is_refused(tmp_path, rows, labels, ids, message):
    """Where it is made, and where it is read."""
    logits, leaked = np.array(rows, np.float32), np.zeros(len(ids), bool)
    with pytest.raises(InputError, match=message):
        Predictions(ids, np.array(labels), logits, ids, leaked)
    path = tmp_path / "predictions.npz"
    names = np.array(ids, str)
    np.savez(path, ids=names, labels=np.array(labels), logits=logits, groups=names, leaked=leaked)
    with pytest.raises(InputError, match=rf"predictions\.npz is missing or damaged \(.*{message}"):
        Predictions.load(path)


@pytest.mark.parametrize(
    ("groups", "leaked", "message"),
    [
        (("g",), [False, False], "Of 2 videos not each has a group"),
        (("g", ""), [False, False], "Of 2 videos not each has a group"),
        (("g", "h"), [False], r"told as bool \(1,\)"),
        (("g", "h"), [0, 1], "told as int64"),
    ],
)
def test_groups_and_leaks_are_known_of_each_video(tmp_path, groups, leaked, message):
    labels, logits = np.array([0, 1]), np.eye(2, dtype=np.float32)
    with pytest.raises(InputError, match=message):
        Predictions(("a", "b"), labels, logits, groups, np.array(leaked))
    path = tmp_path / "predictions.npz"
    np.savez(path, ids=["a", "b"], labels=labels, logits=logits, groups=groups, leaked=np.array(leaked))
    with pytest.raises(InputError, match=rf"missing or damaged \(.*{message}"):
        Predictions.load(path)


def test_the_fusion_of_finite_logits_is_finite():
    large = predictions([[3e38, -3e38]], [0])
    assert fuse(large, large).logits.tolist() == large.logits.tolist()
    some = predictions(np.random.default_rng(0).normal(size=(5, 7)), range(5))
    other = predictions(np.random.default_rng(1).normal(size=(5, 7)), range(5))
    assert (fuse(some, other).logits == (some.logits + other.logits) / 2).all()
