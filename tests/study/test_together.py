"""Real processes in one run folder at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import SMALLEST, TINY, recipe_flags

from i3d_lightning.recipe import merge

SMALL = merge(TINY, {"clips": SMALLEST["two-stream"] | {"snapshot": 10}})


def command(root: Path, runs: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "i3d_lightning", "experiment", "--protocol=origin", "--architecture=two-stream",
        "--dataset=ucf101", "--stream=rgb", f"--root={root}", f"--runs={runs}", f"--cache={runs / 'cache'}",
        *recipe_flags(SMALL), "--json", *more,
    ]  # fmt: skip


def together(*commands: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Processes started at once, once all have ended."""
    started = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands
    ]
    ended = [(process, *process.communicate(timeout=300)) for process in started]
    return [subprocess.CompletedProcess(p.args, p.returncode, out, err) for p, out, err in ended]


def test_two_at_once_train_each_cell_once(tiny_ucf, tmp_path):
    one, other = together(*2 * [command(tiny_ucf, tmp_path, "--seeds=2", "--recipe.training.steps=4")])
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    said = one.stderr + other.stderr
    assert said.count("Running ucf101-1/") == 2
    assert "is being run by process " in said
    assert one.stdout.splitlines()[-2:] == other.stdout.splitlines()[-2:]
    assert not list(tmp_path.rglob(".lease*"))


@pytest.mark.slow
def test_of_two_at_once_with_other_settings_one_is_refused_and_the_result_is_the_others(tiny_ucf, tmp_path):
    one, other = together(
        *(command(tiny_ucf, tmp_path, f"--recipe.training.learning_rate={rate}") for rate in (0.01, 0.02))
    )
    assert sorted((one.returncode, other.returncode)) == [0, 2]
    refused = min(one, other, key=lambda done: -done.returncode)
    assert "training.learning_rate was" in refused.stderr
    assert "--name NAME" in refused.stderr
