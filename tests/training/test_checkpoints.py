"""A training stopped anywhere and resumed equals an undisturbed one, and damage to its files is noticed."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, run_one

from i3d_lightning import interruption
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.interruption import Interrupted
from i3d_lightning.recipe import merge
from i3d_lightning.results.runs import Run
from i3d_lightning.study.planner import WEIGHTS
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training import checkpoints
from i3d_lightning.training.streams import VideoStream
from i3d_lightning.weights import load_weights

ORIGIN = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
CHANGES = merge(
    TINY,
    {
        "clips": {"train_frames": 10, "test_frames": 10, "snapshot": 10},
        "training": {"device_batch": 2, "dropout": 0.5},
    },
)
"""Two epochs of two steps of three micro-batches each."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def undisturbed(tiny_ucf, cache, tmp_path_factory) -> Run:
    return train(tiny_ucf, Workspace(tmp_path_factory.mktemp("undisturbed"), cache))


def train(root: Path, space: Workspace, **training) -> Run:
    return run_one(ORIGIN, space, root=root, changes=merge(CHANGES, {"training": training}))


def assert_same(one: Run, other: Run) -> None:
    assert one.metrics["metrics"] == other.metrics["metrics"]
    ours, theirs = (load_weights(str(run.folder / WEIGHTS)).state for run in (one, other))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    np.testing.assert_array_equal(one.predictions.logits, other.predictions.logits)


class Calls:
    """Does something at certain calls of a stream's steps."""

    def __init__(self, monkeypatch, *names: str) -> None:
        self.seen = 0
        for name in names:
            monkeypatch.setattr(VideoStream, name, self.counted(getattr(VideoStream, name)))

    def counted(self, step):
        def call(*arguments):
            self.seen += 1
            done = step(*arguments)
            self.then(self.seen)
            return done

        return call

    def then(self, seen: int) -> None:
        pass


class SignalAt(Calls):
    """Sends a signal in a certain step, counted from 1 in each run."""

    at = 0

    def then(self, seen: int) -> None:
        if seen == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


STEPS = ("training_step", "validation_step", "test_step")


def interrupted(root: Path, space: Workspace, signals: SignalAt, at: int) -> bool:
    """Run until a signal comes in a certain step; say whether it came."""
    signals.seen, signals.at = 0, at
    interruption.install()
    try:
        train(root, space)
    except Interrupted:
        return True
    finally:
        interruption.uninstall()
    return False


def test_a_run_stopped_again_and_again_equals_an_undisturbed_one(
    tiny_ucf, cache, undisturbed, tmp_path, monkeypatch
):
    """Within a step, before and in validation, after it."""
    space, signals = Workspace(tmp_path, cache), SignalAt(monkeypatch, *STEPS[:2])
    for at in (2, 4, 2, 3, 5):
        assert interrupted(tiny_ucf, space, signals, at)
    signals.at = 0
    done = train(tiny_ucf, space)
    assert_same(done, undisturbed)
    assert not list(done.folder.glob("*.ckpt"))


@pytest.mark.slow
def test_a_run_stopped_anywhere_equals_an_undisturbed_one(
    tiny_ucf, cache, undisturbed, tmp_path, monkeypatch
):
    """In every single step, of training, validation and test."""
    signals = SignalAt(monkeypatch, *STEPS)
    for at in itertools.count(1):
        space = Workspace(tmp_path / str(at), cache)
        stopped = interrupted(tiny_ucf, space, signals, at)
        signals.at = 0
        assert_same(train(tiny_ucf, space), undisturbed)
        if not stopped:
            break
    assert at > 16
