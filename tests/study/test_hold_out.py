"""Settings are chosen on held-out groups of the training videos: the test videos play no part in it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from tiny import plan_one, run_one, save_untrained

from i3d_lightning.datasets.folds import HELD_OUT
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.results import overview, tables
from i3d_lightning.results.runs import Run, collect
from i3d_lightning.results.scores import Index, scores
from i3d_lightning.study import run as study_run
from i3d_lightning.study.workspace import Workspace

FIXED = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
ORIGIN = Experiment("i3d", "rgb", "none", "origin", "ucf101")


def run_on_held_out(experiment: Experiment, space: Workspace, share: float = 0.25, **given: object) -> Run:
    cell = plan_one(experiment, space, **given).cells[experiment]
    return study_run.run(replace(cell, hold_out=share), space)


def test_test_videos_play_no_part_and_it_is_no_test_result(tiny_ucf, tmp_path):
    weights, untested = save_untrained(tmp_path / "weights.safetensors"), tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, untested)
    official = read_dataset("ucf101", untested, 1)
    for video in official.test:
        video.path.write_bytes(b"not a video")
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    run = run_on_held_out(FIXED, space, root=untested, weights=weights)
    tested = set(run.predictions.ids)
    assert tested and tested < {v.id for v in official.train}
    assert run.metrics["train_videos"] == len(official.train) - len(tested)
    assert run.metrics["unreadable"] == {"train": {}, "test": {}}
    assert (run.metrics["tested_on"], run.metrics["missing"]["test"]) == (HELD_OUT, 0)

    same = run_on_held_out(FIXED, space, root=tiny_ucf, weights=weights)  # whose test videos can be read
    assert same.metrics["digest"] == run.metrics["digest"]
    with pytest.raises(InputError, match=r"hold_out was 0\.25, now None.*--name"):
        run_one(FIXED, space, root=tiny_ucf, weights=weights)
    with pytest.raises(InputError, match=r"hold_out was 0\.25, now 0\.5"):
        run_on_held_out(FIXED, space, 0.5, root=tiny_ucf, weights=weights)

    found = scores(collect(space.root))
    row = overview.layout(overview.summarise(found)).iloc[0]
    assert row["split"] == f"1 ({HELD_OUT})"
    assert tables.paper_table(4, found).note.endswith("Nothing was run yet.")

    run_one(replace(FIXED, seed=1), space, root=tiny_ucf, weights=weights)
    both = next(iter(Index(scores(collect(space.root)))))
    assert len(both.by_seed) == 1  # never averaged with a test


@pytest.mark.parametrize("share", [-0.1, 0.91, float("nan"), "0.2", True])
def test_a_share_that_cannot_be_held_out(tiny_ucf, tmp_path, share):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    cell = plan_one(ORIGIN, space, root=tiny_ucf).cells[ORIGIN]
    with pytest.raises(InputError, match=r"hold_out is .*, but must be a number from 0 to 0\.9"):
        replace(cell, hold_out=share)
