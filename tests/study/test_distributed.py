from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import recipe_flags, save_untrained

from i3d_lightning import networks
from i3d_lightning.experiment import Experiment
from i3d_lightning.results.predictions import Predictions

TESTS = Path(__file__).parents[1]


def experiment(
    root: Path, runs: Path, protocol: str, devices: int, *more: str
) -> subprocess.CompletedProcess[str]:
    strategy = "auto" if devices == 1 else "ddp"
    return subprocess.run(
        [
            sys.executable, "-m", "i3d_lightning", "experiment", f"--protocol={protocol}", "--dataset=ucf101",
            "--stream=rgb", f"--root={root}", f"--runs={runs}", f"--cache={runs / 'cache'}", *recipe_flags(),
            f"--trainer={{accelerator: cpu, devices: {devices}, strategy: {strategy}}}", *more,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"WANDB_MODE": "offline"},
    )  # fmt: skip


def test_two_processes_give_the_predictions_of_one(tiny_ucf, tmp_path):
    """A frozen network evaluated by two processes: the same videos, once each, and the same logits.

    The weights are one checkpoint's; training itself differs, since plain batch normalisation keeps
    statistics per process.
    """
    weights = save_untrained(tmp_path / "kinetics.safetensors")
    found = []
    for devices in (1, 2):
        runs = tmp_path / f"runs{devices}"
        experiment(tiny_ucf, runs, "fixed", devices, f"--weights={weights}")
        folder = runs / Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101").folder
        found.append(Predictions.load(folder / "predictions.npz"))
    one, two = found
    assert one.ids == two.ids
    assert len(set(two.ids)) == 8
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


def test_of_two_processes_one_tracks_and_shows(tiny_ucf, tmp_path):
    """One wandb run of the experiment and one of the tables; one table printed and written.

    The result names what any of them could not read, or only in part.
    """
    root = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, root)
    lost, torn = "Red/v_Red_g05_c01.avi", "Green/v_Green_g05_c01.avi"
    (root / "UCF-101" / lost).write_bytes(b"")
    content = (root / "UCF-101" / torn).read_bytes()
    (root / "UCF-101" / torn).write_bytes(content[: int(0.9 * len(content))])
    done = experiment(root, tmp_path, "origin", 2)
    folder = tmp_path / Experiment("i3d", "rgb", "none", "origin", "ucf101").folder
    result = json.loads((folder / "result.json").read_text())
    assert list(result["unreadable"]["train"]) == [lost]
    assert list(result["partly_read"]["train"]) == [torn]
    assert done.stderr.count(f"{torn} was partly read") == 1
    runs = sorted(path.name for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2, runs
    assert done.stdout.count("Written to") == 1
    assert done.stderr.count("Running ucf101-1/") == 1
    assert (tmp_path / "table.csv").read_text().count("\n") == 2


@pytest.mark.slow
def test_two_processes_test_a_checkpoint_as_one_does(tiny_ucf, tmp_path):
    """Of every architecture: the same videos, once each, and the same logits."""
    for processes in ("1", "2"):
        subprocess.run(
            [sys.executable, TESTS / "evaluate.py", tiny_ucf, tmp_path, processes],
            check=True,
            capture_output=True,
            timeout=300,
        )
    for architecture in networks.paper():
        one, two = (Predictions.load(tmp_path / count / f"{architecture.name}.npz") for count in "12")
        assert one.ids == two.ids
        assert len(set(two.ids)) == 8
        np.testing.assert_allclose(one.logits, two.logits, atol=1e-5, rtol=0)
        assert np.ptp(one.logits, axis=0).max() > 0.1  # the videos differ, so that a mix-up would show
