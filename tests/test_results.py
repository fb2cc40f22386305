from __future__ import annotations

import json

import numpy as np
import pytest

from i3d_lightning.plan import Experiment, InputError, plain
from i3d_lightning.results import RESULT, Predictions, Score, collect, fuse, layout, markdown, summarise


def predictions(rows, labels, ids=None) -> Predictions:
    ids = ids or tuple(f"v{i}" for i in range(len(rows)))
    return Predictions(tuple(ids), np.array(labels), np.array(rows, dtype=np.float32))


def score(seed, right, of=10, split=1, protocol="full-ft", stream="rgb", weights="w", dataset="ucf101"):
    """A score with `right` of `of` videos right."""
    rows = np.zeros((of, 4), np.float32)
    rows[:right, 1] = 1
    rows[right:, 2] = 1
    pretraining = "none" if protocol == "origin" else "kinetics"
    experiment = Experiment("i3d", "rgb", pretraining, protocol, dataset, split, seed)
    return Score(experiment, stream, predictions(rows, [1] * of), {"train": 0, "test": 2}, weights)


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


def test_the_interval_is_the_binomial_one():
    p = score(0, 80, of=100).predictions
    low, high = p.interval(samples=5000)
    assert (low, high) == pytest.approx((72, 87.5), abs=1.5)  # 80 ± 1.96 * 4.0


def test_summary_gives_mean_and_sample_deviation_over_seeds():
    row = summarise([score(0, 6), score(1, 8)]).iloc[0]
    assert row["top1"] == pytest.approx(70.0)
    assert row["spread"] == pytest.approx(np.std([60, 80], ddof=1))
    assert (row["seeds"], row["videos"], row["missing_test"]) == (2, 10, 2)


def test_fixed_shows_no_spread_over_seeds_that_share_one_pretraining():
    shared = summarise([score(s, 6, protocol="fixed", weights="same") for s in (0, 1)]).iloc[0]
    assert np.isnan(shared["spread"])
    assert shared["one_pretraining"]
    repeated = summarise([score(s, 6, protocol="fixed", weights=f"w{s}") for s in (0, 1)]).iloc[0]
    assert repeated["spread"] == 0.0


def test_three_splits_also_give_their_mean_beside_the_papers():
    summary = summarise([score(0, right, split=split) for split, right in ((1, 5), (2, 6), (3, 10))])
    mean = summary[[len(s) == 3 for s in summary["splits"]]].iloc[0]
    assert mean["top1"] == pytest.approx(70.0)
    assert mean["paper"] == 95.1  # Table 5, I3D RGB, Kinetics, full-ft
    assert mean["videos"] == 30


def test_the_mean_of_splits_needs_all_three_with_the_same_seed():
    summary = summarise([score(seed=split, right=5, split=split) for split in (1, 2, 3)])
    assert all(len(s) == 1 for s in summary["splits"])


def test_layout_puts_streams_in_columns_and_protocols_in_the_papers_order():
    found = [
        score(0, 9, protocol=protocol, stream=stream)
        for protocol in ("full-ft", "fixed", "origin")
        for stream in ("flow", "rgb", "rgb+flow")
    ]
    table = layout(summarise(found))
    assert list(table["protocol"]) == ["origin", "fixed", "full-ft"]
    assert [c for c in table.columns if c in ("RGB", "Flow", "RGB+Flow")] == ["RGB", "Flow", "RGB+Flow"]
    assert "97.6" in table.iloc[2]["paper"]  # Table 4, I3D full-ft without ImageNet
    assert "90.0 [" in markdown(table)


def test_the_json_line_has_what_scripts_rely_on():
    line = score(0, 9, stream="rgb+flow").as_json()
    assert line == {
        "run": "ucf101-1/i3d-rgb+flow/kinetics/full-ft/seed0",
        "top1": 90.0,
        "top5": 100.0,
        "videos": 10,
        "missing": {"train": 0, "test": 2},
    }


def test_runs_kept_under_a_name_stay_out_of_the_others_table(tmp_path):
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    for root in (tmp_path, tmp_path / "wider"):
        (root / experiment.folder).mkdir(parents=True)
        (root / experiment.folder / RESULT).write_text(json.dumps({"experiment": plain(experiment)}))
    (unnamed,), (named,) = collect(tmp_path), collect(tmp_path / "wider")
    assert unnamed.folder == tmp_path / experiment.folder
    assert named.folder == tmp_path / "wider" / experiment.folder


def test_a_damaged_result_is_named(tmp_path):
    folder = tmp_path / Experiment("i3d", "rgb", "none", "origin", "ucf101").folder
    folder.mkdir(parents=True)
    (folder / RESULT).write_bytes(b"")
    with pytest.raises(InputError, match=r"result\.json is damaged: delete .*seed0 and run"):
        collect(tmp_path)
