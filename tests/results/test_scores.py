"""Scores of runs and their index: fusion, means over seeds and splits, and finding cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from results.made import score, write_run

from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.runs import collect
from i3d_lightning.results.scores import Index, scores


def full_ft(seed, right, of=10, split=1, stream="rgb", weights="w", dataset="ucf101", protocol="full-ft"):
    return score(
        "i3d", stream, "kinetics", protocol, dataset, right, of, split, seed, weights=weights,
        missing={"train": 0, "test": 2},
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


def test_a_summary_gives_mean_and_sample_deviation_over_seeds():
    (found,) = Index([full_ft(0, 6), full_ft(1, 8)])
    assert found.top1 == pytest.approx(70.0)
    assert found.spread == pytest.approx(np.std([60, 80], ddof=1))
    assert len(found.by_seed) == 2


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


def test_the_json_line_has_what_scripts_rely_on():
    line = full_ft(0, 9, stream="rgb+flow").as_json()
    assert line == {
        "run": "ucf101-1/i3d-rgb+flow/kinetics/full-ft/seed0",
        "top1": 90.0,
        "top5": None,
        "videos": 10,
        "missing": {"train": 0, "test": 2},
        "unreadable": {"train": 0, "test": 0},
        "partly_read": {"train": 0, "test": 0},
    }
