"""Real processes, stopped by signals where it hurts, and run again: nothing differs from one left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, recipe_flags, run_one, save_untrained

from i3d_lightning import interruption
from i3d_lightning.cli.main import main
from i3d_lightning.experiment import Experiment
from i3d_lightning.launch import LAUNCHERS
from i3d_lightning.recipe import merge
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.study import run as study_run
from i3d_lightning.study.planner import WEIGHTS, plan
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training.streams import FrozenStream
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
        for measured in ("seconds", "peak_memory", "digest"):
            del result[measured]
    assert results[0] == results[1]
    assert results[0]["metrics"].keys() >= {"fit/loss", "fit/top1", "val/loss", "val/top1"}
    ours, theirs = (load_weights(str(runs / FOLDER / WEIGHTS)).state for runs in (one, other))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    first, second = (Predictions.load(runs / FOLDER / "predictions.npz") for runs in (one, other))
    np.testing.assert_array_equal(first.logits, second.logits)


def warn_by_slurm(root: Path, runs: Path, bin: Path) -> dict[str, str]:
    """Run the experiment until SLURM warns it; gives the environment of its job."""
    asked, scontrol = bin / "asked", bin / "scontrol"
    bin.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    scontrol.chmod(0o755)
    slurm = {
        "PATH": f"{bin}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "4242", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1",
    }  # fmt: skip
    warned = run(root, runs, at="training_step 2 SIGUSR1", **slurm)
    assert warned.returncode == 138
    assert warned.stderr.splitlines()[-1] == "Interrupted: run the same command to go on."
    assert "SLURM will run job 4242 again." in warned.stderr
    assert asked.read_text() == "requeue 4242\n"
    assert (runs / FOLDER / "last.ckpt").exists()
    assert not list(runs.rglob("hpc_ckpt*"))
    return slurm


def test_warned_by_slurm_in_training(tiny_ucf, tmp_path, monkeypatch):
    """A checkpoint that Lightning left there, of an earlier version of this, is not looked at."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    main(command(tiny_ucf, whole)[3:])
    slurm = warn_by_slurm(tiny_ucf, stopped, tmp_path / "bin")
    (stopped / FOLDER / "hpc_ckpt_1.ckpt").write_bytes(b"of another time")
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    main(command(tiny_ucf, stopped)[3:])
    assert_same(whole, stopped)
    assert not list((stopped / FOLDER).glob("*last.ckpt*"))


@pytest.mark.slow
def test_warned_by_slurm_in_training_then_killed_in_its_test(tiny_ucf, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(tiny_ucf, whole).returncode == 0
    slurm = warn_by_slurm(tiny_ucf, stopped, tmp_path / "bin")
    assert run(tiny_ucf, stopped, at="test_step 2 SIGKILL", **slurm).returncode == -9
    last = run(tiny_ucf, stopped, **slurm)
    assert "Resuming" in last.stderr
    assert_same(whole, stopped)
    assert not list((stopped / FOLDER).glob("*last.ckpt*"))


def test_feature_extraction_stops_at_once_and_so_does_a_grid(tiny_ucf, tmp_path, monkeypatch):
    """Today's TERM was heard at its end, and the next cell began."""
    weights = save_untrained(tmp_path / "kinetics.safetensors")
    cells = [Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101", seed=seed) for seed in range(2)]
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    planned = plan(
        cells, space, roots={"ucf101": tiny_ucf}, weights={"rgb": str(weights)}, settings=lambda _: TINY
    )
    real, seen = FrozenStream.predict_step, []

    def predict_step(*given):
        seen.append(given)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given)

    monkeypatch.setattr(FrozenStream, "predict_step", predict_step)
    interruption.install()
    try:
        with pytest.raises(interruption.Interrupted):
            LAUNCHERS["local"](planned, space)
    finally:
        interruption.uninstall()
    assert len(seen) == 1


def test_a_signal_while_a_result_is_stored_comes_after_it(tiny_ucf, tmp_path, monkeypatch):
    weights = save_untrained(tmp_path / "kinetics.safetensors")
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    real = Predictions.save

    def save(self, path):
        os.kill(os.getpid(), signal.SIGINT)
        real(self, path)

    monkeypatch.setattr(Predictions, "save", save)
    interruption.install()
    try:
        with pytest.raises(interruption.Interrupted):
            run_one(experiment, space, root=tiny_ucf, weights=weights)
    finally:
        interruption.uninstall()
    assert (space.folder(experiment) / "result.json").exists()


def test_the_command_line_says_one_line_and_which_signal_it_was(tiny_ucf, tmp_path, monkeypatch, capsys):
    """Also where other people's code makes something else of it."""
    monkeypatch.setenv("RANK", "0")
    for which in interruption.SIGNALS:

        def load(*_, which=which):
            try:
                os.kill(os.getpid(), which)
                time.sleep(0.1)
            except BaseException as error:
                raise ImportError("initialisation failed") from error

        monkeypatch.setattr(study_run, "load_manifest", load)
        with pytest.raises(SystemExit) as stop:
            main(command(tiny_ucf, tmp_path)[4:])
        assert stop.value.code == 128 + which
        assert capsys.readouterr().err.splitlines()[-1] == "Interrupted: run the same command to go on."
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.slow
@pytest.mark.parametrize(
    "at", ["training_step 4 SIGTERM 1", "validation_step 1 SIGINT 1", "training_step 8 SIGTERM 0"]
)
def test_a_signal_to_one_of_two_processes_stops_both_and_loses_nothing(tiny_ucf, tmp_path, at):
    two = "--trainer={accelerator: cpu, devices: 2, strategy: ddp}"
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    flags = (
        two,
        "--recipe.training.batch_size=8",
        "--recipe.training.reference_batch=8",
    )  # two micro-batches of two each
    assert run(tiny_ucf, whole, *flags).returncode == 0
    done = run(tiny_ucf, stopped, *flags, at=at)
    assert done.returncode == (130 if "INT" in at else 143), done.stderr
    assert done.stderr.count("Interrupted: run the same command to go on.") == 1
    assert "Traceback" not in done.stderr
    assert run(tiny_ucf, stopped, *flags).returncode == 0
    assert_same(whole, stopped)
