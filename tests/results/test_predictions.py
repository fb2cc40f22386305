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
