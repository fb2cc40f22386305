"""Scores of runs and their index: fusion, means over seeds and splits, and finding cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from results.made import score, write_run

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.runs import collect
from i3d_lightning.results.scores import Index, scores


def full_ft(
    seed, right, of=10, split=1, stream="rgb", weights="w", dataset="ucf101", protocol="full-ft", **known
):
    return score(
        "i3d", stream, "kinetics", protocol, dataset, right, of, split, seed, weights=weights,
        missing={"train": 0, "test": 2}, **known,
    )  # fmt: skip


def test_a_run_says_itself_how_it_stands_in_tables(tmp_path):
    experiment = Experiment("my-net", "rgb", "kinetics", "my-probe", "my-set")
    write_run(tmp_path, experiment, right=6, order=7, control=True, trains_by_steps=False)
    (found,) = scores(collect(tmp_path))
    assert (found.order, found.control, found.trains_by_steps) == (7, True, False)
    assert (found.tested_on, found.pretrained_by) == ("test", "w")


def test_two_streams_are_fused_where_both_were_run(tmp_path):
    for stream in ("rgb", "flow"):
        write_run(tmp_path, Experiment("i3d", stream, "kinetics", "full-ft", "ucf101"), right=6)
    write_run(tmp_path, Experiment("i3d", "rgb", "none", "origin", "ucf101"), right=6, order=0)
    found = {score.name: score for score in scores(collect(tmp_path))}
    assert len(found) == 4
    fused = found["ucf101-1/i3d-rgb+flow/kinetics/full-ft/seed0"]
    assert (fused.stream, fused.pretrained_by, fused.order) == (FUSION, "w+w", 2)
    assert fused.predictions.accuracy() == 50


def test_what_was_run_with_other_settings_or_videos_is_left_out_of_means_and_fusions(tmp_path, caplog):
    """It is named: a mean over seeds is one of equal runs, and streams are fused on equal videos."""
    first = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    for seed, settings, data in ((0, "a", "x"), (1, "a", "x"), (2, "b", "x"), (3, "a", "y")):
        reading = {"settings": settings, "data": data}
        write_run(tmp_path, replace(first, seed=seed), right=6, reading=reading)
    write_run(tmp_path, replace(first, split=2), right=6, reading={"settings": "a", "data": "z"})
    for seed, data in ((0, "x"), (1, "y")):
        flow = replace(first, stream="flow", seed=seed)
        write_run(tmp_path, flow, right=6, reading={"settings": "c", "data": data})
    every = scores(collect(tmp_path))
    assert len(every) == 8  # seed 0 alone is fused; each can still be looked at and compared by itself
    kept = [s.name for summary in Index(every) for parts in summary.by_seed for s in parts]
    assert [name for name in kept if "i3d-rgb/" in name] == [
        "ucf101-1/i3d-rgb/kinetics/full-ft/seed0",
        "ucf101-1/i3d-rgb/kinetics/full-ft/seed1",
        "ucf101-2/i3d-rgb/kinetics/full-ft/seed0",
    ]
    assert [name for name in kept if "rgb+flow" in name] == ["ucf101-1/i3d-rgb+flow/kinetics/full-ft/seed0"]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert said.count("full-ft/seed2 was run with other settings than") == 1
    assert said.count("full-ft/seed3 was run with other videos than") == 1


def test_of_several_lists_of_one_name_one_is_in_a_table(tmp_path, caplog):
    """Of other cells, too, which it would stand beside; and streams are fused on one list."""
    first = Experiment("i3d", "rgb", "kinetics", "full-ft", "mine")
    for experiment, whole in (
        (first, "y"),
        (replace(first, split=2), "y"),
        (replace(first, split=3), "x"),
        (replace(first, protocol="fixed", split=3), "y"),
        (replace(first, protocol="fixed", split=2), "x"),
        (replace(first, stream="flow"), "x"),
    ):
        write_run(tmp_path, experiment, right=6, reading={"data": f"{experiment.split}", "list": whole})
    every = scores(collect(tmp_path))
    assert len(every) == 6
    kept = {s.name for summary in Index(every) for parts in summary.by_seed for s in parts}
    assert kept == {
        "mine-1/i3d-flow/kinetics/full-ft/seed0",
        "mine-3/i3d-rgb/kinetics/full-ft/seed0",
        "mine-2/i3d-rgb/kinetics/fixed/seed0",
    }
    assert "the fusion of mine-1/i3d-rgb/kinetics/full-ft/seed0 and" in caplog.text
    assert caplog.text.count("was run with another list than mine-1/i3d-flow/kinetics/full-ft/seed0") == 3


def test_a_summary_gives_mean_and_sample_deviation_over_seeds():
    (found,) = Index([full_ft(0, 6), full_ft(1, 8)])
    assert found.top1 == pytest.approx(70.0)
    assert found.spread == pytest.approx(np.std([60, 80], ddof=1))
    assert len(found.by_seed) == 2


def test_several_pretrainings_are_one_cell_and_streams_are_fused_pretraining_with_pretraining(tmp_path):
    first = Experiment("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    for stream, pretrainings in (("rgb", (0, 1)), ("flow", (1, 2))):
        for number in pretrainings:
            cell = replace(first, stream=stream, pretraining_seed=number)
            write_run(tmp_path, cell, right=6 + number, reading={"weights": {"sha256": f"{stream}{number}"}})
    found = scores(collect(tmp_path))
    (fused,) = (s for s in found if s.stream == FUSION)
    assert (fused.experiment.pretraining_seed, fused.pretrained_by) == (1, "rgb1+flow1")
    rgb = next(s for s in Index(found) if s.cell.stream == "rgb")
    assert (rgb.pretrainings, rgb.seeds, len(rgb.by_seed)) == (2, 1, 2)
    assert rgb.top1 == pytest.approx(100 * (6 + 7) / 24)
    assert rgb.spread == pytest.approx(np.std([600 / 12, 700 / 12], ddof=1))


def test_a_spread_says_what_it_is_over():
    """Over seeds that share one pretraining it is of the last stage alone; else of both together."""
    (last,) = Index(full_ft(seed, right) for seed, right in ((0, 6), (1, 8)))
    assert (last.spread_over, last.pretrainings) == ("seeds", 1)
    (one,) = Index([full_ft(0, 6)])
    assert (one.spread_over, one.pretrainings) == ("", 1)
    (both,) = Index(
        full_ft(seed, right, of=100, weights=f"w{pretraining}", pretraining_seed=pretraining)
        for pretraining, seed, right in ((0, 0, 60), (0, 1, 62), (1, 0, 70), (1, 1, 72))
    )
    assert (both.spread_over, both.pretrainings, both.seeds) == ("pretraining and seeds", 2, 2)
    assert both.spread > np.std([60, 62, 70, 72], ddof=1)  # these four are not independent draws
    (scratch,) = Index(score("i3d", "rgb", "none", "origin", "ucf101", n, seed=n) for n in (0, 1))
    assert (scratch.spread_over, scratch.pretrainings) == ("seeds", 0)


def test_frozen_features_show_no_spread_over_seeds_that_share_one_pretraining():
    (shared,) = Index(full_ft(s, 6, protocol="fixed", weights="same") for s in (0, 1))
    assert np.isnan(shared.spread)
    assert shared.pretrainings == 1
    (repeated,) = Index(full_ft(s, 6, protocol="fixed", weights=f"w{s}") for s in (0, 1))
    assert repeated.spread == 0.0


def test_the_mean_of_splits_needs_all_three_with_the_same_seed():
    assert [s.splits for s in Index(full_ft(0, 5, split=n) for n in (1, 2, 3))] == [
        (1,),
        (2,),
        (3,),
        (1, 2, 3),
    ]
    assert [s.splits for s in Index(full_ft(0, 5, split=n) for n in (1, 2))] == [(1,), (2,)]
    assert [s.splits for s in Index(full_ft(n, 5, split=n) for n in (1, 2, 3))] == [(1,), (2,), (3,)]


def test_a_cell_is_found_by_the_papers_name_of_its_data_set():
    index = Index([full_ft(0, 6, dataset="demo-ucf101")])
    cell = index.cell("i3d", "rgb", "kinetics", "full-ft", "ucf101")
    assert (index.demo, cell.dataset) == (True, "demo-ucf101")
    found = index.find(cell)
    assert found is not None
    assert found.top1 == index.top1(cell) == 60
    assert index.find(cell, (1, 2, 3)) is None
    mixed = Index([full_ft(0, 6, dataset="demo-ucf101"), full_ft(0, 7)])
    assert (mixed.demo, mixed.dataset("ucf101")) == (False, "ucf101")


def test_cells_are_compared_over_the_runs_that_they_share():
    index = Index(
        [
            *(full_ft(seed, 6, split=split) for seed in (0, 1) for split in (1, 2)),
            *(full_ft(seed, 8, split=1, stream="flow") for seed in (1, 2)),
        ]
    )
    rgb, flow = (index.cell("i3d", stream, "kinetics", "full-ft", "ucf101") for stream in ("rgb", "flow"))
    found = index.compare(rgb, flow)
    assert found is not None
    assert (found.difference, found.videos, found.gained, found.lost) == (pytest.approx(20), 10, 2, 0)
    assert index.compare(rgb, flow._replace(protocol="fixed")) is None
    assert index.draws(flow._replace(protocol="fixed")) is None


def test_an_interval_is_of_the_mean_that_it_stands_beside():
    """Of all seeds, not of the first one."""
    (found,) = Index([full_ft(0, 2, of=50), full_ft(1, 48, of=50)])
    assert found.top1 == 50
    assert found.interval[0] < 50 < found.interval[1]


def test_draws_of_cells_are_paired_and_centre_on_their_scores():
    index = Index([full_ft(0, 120, of=200), full_ft(0, 124, of=200, stream="flow")])
    rgb, flow = (index.cell("i3d", stream, "kinetics", "full-ft", "ucf101") for stream in ("rgb", "flow"))
    before, after = index.draws(rgb), index.draws(flow)
    assert before is not None
    assert after is not None
    assert before.shape == (2000,)
    assert before.mean() == pytest.approx(60, abs=0.3)
    assert np.std(after - before) < np.std(before) / 2
    found = index.compare(rgb, flow)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(np.quantile(after - before, (0.025, 0.975)), abs=1)


def test_without_leaks_every_number_is_there_twice_and_judged_without():
    """What one run knows to have leaked is left out of all of its split."""
    knows = full_ft(0, 6, stream="flow")
    knows = replace(knows, predictions=replace(knows.predictions, leaked=np.arange(10) < 2))
    found = [full_ft(0, 6), full_ft(1, 6), knows]
    rgb, flow = (s for s in Index(found, exclude_leaks=True))
    assert (rgb.top1, flow.top1) == (60, 60)
    assert rgb.without_leaks is not None
    assert (rgb.without_leaks.top1, rgb.without_leaks.sums.distinct) == (50, 8)
    assert (flow.leaked, rgb.leaked) == (2, 2)
    index = Index(found, exclude_leaks=True)
    assert index.top1(rgb.cell) == 50
    compared = index.compare(rgb.cell, flow.cell)
    assert compared is not None
    assert compared.videos == 8
    assert [(s.without_leaks, s.leaked) for s in Index(found)] == [(None, 0), (None, 2)]


def test_where_nothing_but_leaks_was_tested_on_the_run_is_named():
    found = full_ft(0, 6)
    found = replace(found, predictions=replace(found.predictions, leaked=np.ones(10, bool)))
    with pytest.raises(InputError, match=f"^{found.name}: All 10 test videos leaked"):
        Index([found], exclude_leaks=True)


def test_groups_are_known_where_the_data_set_says_so_or_its_videos_share_one():
    def known(dataset, groups=None):
        one = full_ft(0, 6, dataset=dataset)
        names = groups or one.predictions.groups
        (found,) = Index([replace(one, predictions=replace(one.predictions, groups=tuple(names)))])
        return found.groups_known

    assert known("ucf101")
    assert not known("ssv2")
    assert not known("my-set")
    assert known("my-set", "aabbccddee")


def test_of_a_data_set_of_ones_own_the_runs_say_what_it_is():
    """Its list is not read for a table, and may be gone."""
    made = [replace(full_ft(0, 6, dataset="mine", split=split), splits=(1, 2)) for split in (1, 2)]
    assert {summary.splits for summary in Index(made)} == {(1,), (2,), (1, 2)}
    assert {summary.splits for summary in Index(made[:1])} == {(1,)}
    assert [s.groups_known for s in Index([replace(made[0], groups_known=True)])] == [True]


def test_the_json_line_has_what_scripts_rely_on():
    line = full_ft(0, 9, stream="rgb+flow").as_json()
    assert line == {
        "run": "ucf101-1/i3d-rgb+flow/kinetics/full-ft/seed0",
        "tested_on": "test",
        "top1": 90.0,
        "top5": None,
        "videos": 10,
        "groups": 10,
        "leaked": 0,
        "missing": {"train": 0, "test": 2},
        "unreadable": {"train": 0, "test": 0},
        "partly_read": {"train": 0, "test": 0},
    }


def test_a_fusion_is_averaged_over_equal_settings_of_both_streams(tmp_path, caplog):
    """Its flow half may differ from another seed's though its RGB half does not."""
    for stream, seed, settings in (("rgb", 0, "a"), ("rgb", 1, "a"), ("flow", 0, "b"), ("flow", 1, "c")):
        cell = Experiment("i3d", stream, "kinetics", "full-ft", "ucf101", seed=seed)
        write_run(tmp_path, cell, right=6, reading={"settings": settings})
    kept = {s.cell.stream: len(s.by_seed) for s in Index(scores(collect(tmp_path)))}
    assert kept == {"rgb": 2, "flow": 1, "rgb+flow": 1}
    assert "rgb+flow/kinetics/full-ft/seed1 was run with other settings" in caplog.text


def test_a_mean_over_splits_is_of_test_videos_alone(caplog):
    """As where split 1 was run on the rendered videos that settings are chosen on, and the others not."""
    found = [full_ft(0, 5, split=n, tested_on="development" if n == 1 else "test") for n in (1, 2, 3)]
    assert [s.splits for s in Index(found)] == [(1,)]
    assert "was run with other test videos than" in caplog.text


def test_a_video_that_leaks_in_one_split_alone_is_counted():
    """It is still tested on in the other, as HMDB-51's splits share test videos."""
    found = [full_ft(0, 6, split=n) for n in (1, 2, 3)]
    leaky = replace(found[0], predictions=replace(found[0].predictions, leaked=np.arange(10) < 2))
    summary = Index([leaky, *found[1:]], exclude_leaks=True).find(leaky.cell, (1, 2, 3))
    assert summary is not None
    assert summary.without_leaks is not None
    assert (summary.leaked, summary.top1) == (2, pytest.approx(60))
    assert summary.without_leaks.top1 == pytest.approx((50 + 60 + 60) / 3)


def test_cells_of_different_videos_are_named_where_they_are_compared():
    index = Index([full_ft(0, 6), full_ft(0, 6, of=9, stream="flow")])
    rgb, flow = (index.cell("i3d", stream, "kinetics", "full-ft", "ucf101") for stream in ("rgb", "flow"))
    with pytest.raises(InputError, match=r"i3d rgb kinetics .*, and i3d flow kinetics .*1 videos are in one"):
        index.compare(rgb, flow)
