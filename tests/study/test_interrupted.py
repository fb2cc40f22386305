"""Real processes, stopped by signals where it hurts, and run again: nothing differs from one left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, recipe_flags

from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import merge
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.study.planner import WEIGHTS
from i3d_lightning.weights import load_weights

PLUGIN = Path(__file__).parents[1] / "plugins" / "signal_itself.py"
SMALL = merge(TINY, {"clips": {"train_frames": 10, "test_frames": 10, "snapshot": 10}})
ARCHITECTURE = "two-stream"
FOLDER = Experiment(ARCHITECTURE, "rgb", "none", "origin", "ucf101").folder


def command(root: Path, runs: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "i3d_lightning", f"--import={PLUGIN}", "experiment", "--protocol=origin",
        f"--architecture={ARCHITECTURE}", "--dataset=ucf101", "--stream=rgb", f"--root={root}",
        f"--runs={runs}", f"--cache={runs / 'cache'}", *recipe_flags(SMALL),
        "--recipe.training.device_batch=2", "--json", *more,
    ]  # fmt: skip


def run(
    root: Path, runs: Path, *more: str, at: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the experiment; it sends itself a signal, or one of its processes does, in a certain step."""
    return subprocess.run(
        command(root, runs, *more),
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"SIGNAL_AT": at} | environment,
    )


def assert_same(one: Path, other: Path) -> None:
    results = [json.loads((runs / FOLDER / "result.json").read_text()) for runs in (one, other)]
    for result in results:
        for measured in ("seconds", "peak_memory"):
            del result[measured]
    assert results[0] == results[1]
    assert results[0]["metrics"].keys() >= {"fit/loss", "fit/top1", "val/loss", "val/top1"}
    ours, theirs = (load_weights(str(runs / FOLDER / WEIGHTS)).state for runs in (one, other))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    first, second = (Predictions.load(runs / FOLDER / "predictions.npz") for runs in (one, other))
    np.testing.assert_array_equal(first.logits, second.logits)


def test_warned_by_slurm_in_training_then_killed_in_its_test(tiny_ucf, tmp_path):
    """And a checkpoint that Lightning left there, of an earlier version of this, is not looked at."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(tiny_ucf, whole).returncode == 0

    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    slurm = {
        "PATH": f"{scontrol.parent}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "4242", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1",
    }  # fmt: skip
    warned = run(tiny_ucf, stopped, at="training_step 2 SIGUSR1", **slurm)
    assert warned.returncode == 138
    assert warned.stderr.splitlines()[-1] == "Interrupted: run the same command to go on."
    assert "SLURM will run job 4242 again." in warned.stderr
    assert (tmp_path / "asked").read_text() == "requeue 4242\n"
    assert (stopped / FOLDER / "last.ckpt").exists()
    assert not list(stopped.rglob("hpc_ckpt*"))

    (stopped / FOLDER / "hpc_ckpt_1.ckpt").write_bytes(b"of another time")
    assert run(tiny_ucf, stopped, at="test_step 2 SIGKILL", **slurm).returncode == -9
    last = run(tiny_ucf, stopped, **slurm)
    assert "Resuming" in last.stderr
    assert_same(whole, stopped)
    assert not list((stopped / FOLDER).glob("*last.ckpt*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "at", ["training_step 4 SIGTERM 1", "validation_step 1 SIGINT 1", "training_step 8 SIGTERM 0"]
)
def test_a_signal_to_one_of_two_processes_stops_both_and_loses_nothing(tiny_ucf, tmp_path, at):
    two = "--trainer={accelerator: cpu, devices: 2, strategy: ddp}"
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    flags = (two, "--recipe.training.batch_size=8")  # two micro-batches of two each
    assert run(tiny_ucf, whole, *flags).returncode == 0
    done = run(tiny_ucf, stopped, *flags, at=at)
    assert done.returncode == (130 if "INT" in at else 143), done.stderr
    assert done.stderr.count("Interrupted: run the same command to go on.") == 1
    assert "Traceback" not in done.stderr
    assert run(tiny_ucf, stopped, *flags).returncode == 0
    assert_same(whole, stopped)
