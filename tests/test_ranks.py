from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import run_one, save_untrained

from i3d_lightning import ranks
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.study.workspace import Workspace

DRIVER = Path(__file__).parent / "together.py"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def run(
    scenario: str, folder: Path, *more: object, by: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *by, str(DRIVER), scenario, str(folder), *map(str, more)],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
    )


def found(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_one_process_needs_nobody():
    with ranks.together("alone"):
        assert ranks.by_first(lambda: 1) == 1
        assert ranks.gather(2) == [2]
    assert ranks.is_first()


@pytest.mark.parametrize("by", [(), pytest.param(TORCHRUN, marks=pytest.mark.slow)], ids=["here", "torchrun"])
def test_processes_share_values_and_failures(tmp_path, by):
    """What fails on one alone fails on both, by its sentence, and both go on."""
    done = run("exchange", tmp_path, by=by)
    assert done.returncode == 0, done.stderr
    for rank, one in enumerate(found(tmp_path)):
        assert one["first"] == "of 0"
        assert one["gathered"] == one["next"] == [0, 1]
        assert one["large"] == [9_000_000, 9_000_001]
        assert one["decided"] == "again"
        where = " (process 1 of 2)" if rank == 0 else ""
        assert one["users"] == ["InputError", f"of one alone{where}"]
        assert one["bug"] == [("RankFailedError", "KeyError")[rank], f"'of one alone'{where}"]


def test_flow_is_divided_whether_its_folder_is_shared_or_not(tmp_path, tiny_ucf):
    done = run("flow", tmp_path, tiny_ucf)
    assert done.returncode == 0, done.stderr
    one, two = found(tmp_path)
    assert sorted((one["shared"][0], two["shared"][0])) == [2, 3]
    assert one["of"][0] == two["of"][0] == 5
    assert {pair[1] for each in (one, two) for pair in each.values()} == {0}


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        ("killed", "Process 1 of 2 was ended by SIGKILL"),
        pytest.param("stuck", "the disk of one is full", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_others_cannot_wait_for_ends_the_job_with_a_sentence(tmp_path, scenario, sentence):
    began = time.monotonic()
    done = run(scenario, tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert time.monotonic() - began < 60


def test_fewer_processes_than_were_started_are_refused(monkeypatch):
    """Else each would do everything, and all would write the same files."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(
        InputError, match=r"2 processes were started, but the Trainer would use 1.*devices: 2"
    ):
        ranks.start({"accelerator": "cpu", "devices": 1})


@pytest.mark.slow
def test_processes_with_caches_of_their_own_give_the_predictions_of_one(tmp_path, tiny_ucf):
    """Also where one of them lost its features: no row is missing, and none moves."""
    weights = save_untrained(tmp_path / "kinetics.safetensors")
    done = run("fixed", tmp_path, tiny_ucf, by=TORCHRUN)
    assert done.returncode == 0, done.stderr
    cell = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    alone = run_one(cell, Workspace(tmp_path / "alone", tmp_path / "cache"), root=tiny_ucf, weights=weights)
    for seed in (0, 1, 2):
        both = Predictions.load(tmp_path / "runs" / cell.folder.parent / f"seed{seed}" / "predictions.npz")
        assert both.ids == alone.predictions.ids
        np.testing.assert_allclose(both.logits, alone.predictions.logits, atol=1e-3 if seed == 0 else 10)
        assert (both.logits.argmax(1) == alone.predictions.logits.argmax(1)).all()
