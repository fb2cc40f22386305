"""Runs on disk: what is collected, and what is refused or left out."""

from __future__ import annotations

import json
import logging
import re

import pytest
from results.made import write_run

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.results.runs import PREDICTIONS, RESULT, collect, load_run

EXPERIMENT = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")


def test_runs_kept_under_a_name_stay_out_of_the_others_table(tmp_path):
    for root in (tmp_path, tmp_path / "wider"):
        write_run(root, EXPERIMENT, right=6)
    (unnamed,), (named,) = collect(tmp_path), collect(tmp_path / "wider")
    assert unnamed.folder == tmp_path / EXPERIMENT.folder
    assert named.folder == tmp_path / "wider" / EXPERIMENT.folder
    assert unnamed.classes == ("a", "b", "c")
    assert unnamed.predictions.accuracy() == 50


def test_a_folder_without_a_result_is_no_run(tmp_path):
    folder = write_run(tmp_path, EXPERIMENT, right=6)
    (folder / RESULT).unlink()
    assert load_run(folder) is None
    assert collect(tmp_path) == []


def change(folder, **changes):
    """Store other values in a result; None deletes one."""
    metrics = json.loads((folder / RESULT).read_text()) | changes
    (folder / RESULT).write_text(json.dumps({k: v for k, v in metrics.items() if v is not None}))


DAMAGES = {
    "an empty result": (
        lambda folder: (folder / RESULT).write_bytes(b""),
        r"result\.json is damaged: delete .*seed0 and run",
    ),
    "a result of an earlier version": (
        lambda folder: change(folder, protocol=None),
        r"seed0 was made by an earlier version: run it again elsewhere \(--name NAME\), or delete it",
    ),
    "a field of an experiment that is no longer there": (
        lambda folder: change(folder, experiment={**vars(EXPERIMENT), "speed": "exact"}),
        "seed0 was made by an earlier version",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_cannot_be_used_is_refused_by_name(tmp_path, damage):
    folder = write_run(tmp_path, EXPERIMENT, right=6)
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(InputError, match=message):
        load_run(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        *DAMAGES.values(),
        (lambda folder: (folder / PREDICTIONS).unlink(), r"predictions\.npz is missing or damaged"),
        (lambda folder: (folder / PREDICTIONS).write_bytes(b"PK"), r"predictions\.npz is missing or damaged"),
    ],
)
def test_one_bad_run_does_not_keep_the_others_from_the_table(tmp_path, caplog, spoil, message):
    write_run(tmp_path, Experiment("i3d", "rgb", "none", "origin", "ucf101"), right=6)
    spoil(write_run(tmp_path, EXPERIMENT, right=6))
    with caplog.at_level(logging.WARNING, "i3d_lightning.results.runs"):
        (run,) = collect(tmp_path)
    assert run.experiment.protocol == "origin"
    (record,) = caplog.records
    assert record.getMessage().startswith("Left out: ")
    assert re.search(message, record.getMessage())
