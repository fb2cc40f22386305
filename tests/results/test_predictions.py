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
    p = predictions([[1, 0], [np.nan, np.nan]], [0, 0])
    assert p.accuracy(1) == p.accuracy(5) == 50.0


def test_storing_keeps_every_bit(tmp_path):
    p = predictions(np.random.default_rng(0).normal(size=(5, 7)), range(5))
    p.save(tmp_path / "deep" / "predictions.npz")
    q = Predictions.load(tmp_path / "deep" / "predictions.npz")
    assert q.ids == p.ids
    np.testing.assert_array_equal(q.logits, p.logits)
    assert [f.name for f in (tmp_path / "deep").iterdir()] == ["predictions.npz"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "predictions.npz"
    for content in (b"", b"PK\x03\x04 cut off", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"predictions\.npz is missing or damaged"):
            Predictions.load(path)


def test_fusion_averages_logits_video_by_video_whatever_the_order():
    rgb = predictions([[4, 0], [0, 2]], [0, 1], ("a", "b"))
    flow = predictions([[6, 0], [0, 2]], [1, 0], ("b", "a"))
    fused = fuse(rgb, flow)
    np.testing.assert_allclose(fused.logits, [[2, 1], [3, 1]])
    assert fused.accuracy() == 50.0


def test_fusion_refuses_a_video_missing_on_one_side():
    rgb = predictions([[1, 0], [1, 0]], [0, 0], ("a", "b"))
    with pytest.raises(InputError, match="one stream only, such as b"):
        fuse(rgb, predictions([[1, 0]], [0], ("a",)))


def test_ties_count_against():
    constant = predictions(np.zeros((6, 3)), [0, 1, 2, 0, 1, 2])
    assert constant.accuracy(1) == 0.0
    assert predictions([[1, 1, 0], [2, 1, 1]], [0, 0]).accuracy(1) == 50.0
    assert predictions([[1, 1, 0, 0]], [0]).accuracy(2) == 100.0
    assert predictions([[0, 1, 0, 0]], [0]).accuracy(2) == 0.0


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
    with pytest.raises(InputError, match=message):
        Predictions(ids, np.array(labels), np.array(rows, np.float32))
    path = tmp_path / "predictions.npz"
    np.savez(path, ids=np.array(ids, str), labels=np.array(labels), logits=np.array(rows, np.float32))
    with pytest.raises(InputError, match=rf"predictions\.npz is missing or damaged \(.*{message}"):
        Predictions.load(path)


def test_the_fusion_of_finite_logits_is_finite():
    large = predictions([[3e38, -3e38]], [0])
    assert fuse(large, large).logits.tolist() == large.logits.tolist()
    some = predictions(np.random.default_rng(0).normal(size=(5, 7)), range(5))
    other = predictions(np.random.default_rng(1).normal(size=(5, 7)), range(5))
    assert (fuse(some, other).logits == (some.logits + other.logits) / 2).all()
