"""A training stopped anywhere and resumed equals an undisturbed one, and damage to its files is noticed."""

from __future__ import annotations

import errno
import itertools
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


def interrupted(root: Path, space: Workspace, signals: SignalAt, at: int, **training) -> bool:
    """Run until a signal comes in a certain step; say whether it came."""
    signals.seen, signals.at = 0, at
    interruption.install()
    try:
        train(root, space, **training)
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


def test_a_run_on_all_training_videos_resumes_as_one_that_validates(tiny_ucf, cache, tmp_path, monkeypatch):
    """Within a step and at the end of an epoch; all are trained on, mixed, warmed up, none validated."""
    every = {"validation_fraction": 0.0, "mixup": 0.8, "warmup_steps": 1}
    whole, space = Workspace(tmp_path / "whole", cache), Workspace(tmp_path / "stopped", cache)
    undisturbed = train(tiny_ucf, whole, **every)
    assert undisturbed.metrics["metrics"].keys() == {"steps", "fit/loss", "fit/top1"}
    signals = SignalAt(monkeypatch, *STEPS)
    for at in (2, 4):
        assert interrupted(tiny_ucf, space, signals, at, **every)
        assert signals.seen == at
        assert checkpoints.exists(space.folder(ORIGIN))
    signals.seen, signals.at = 0, 0
    assert_same(train(tiny_ucf, space, **every), undisturbed)


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


def test_a_signal_while_the_last_checkpoint_is_written_is_not_lost(
    tiny_ucf, cache, undisturbed, tmp_path, monkeypatch
):
    """The checkpoint is finished, and what is left is the test; there a signal stops at once."""
    written, real = [], checkpoints.write_atomically

    def write(path, content):
        written.append(path)
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        real(path, content)

    monkeypatch.setattr(checkpoints, "write_atomically", write)
    space, signals = Workspace(tmp_path, cache), SignalAt(monkeypatch, *STEPS)
    assert interrupted(tiny_ucf, space, signals, 0)
    assert interrupted(tiny_ucf, space, signals, 1)
    assert signals.seen == 1  # of the test alone
    signals.at = 0
    assert_same(train(tiny_ucf, space), undisturbed)
    assert len(written) == 2


def test_a_checkpoint_is_taken_after_a_while_too(tiny_ucf, cache, undisturbed, tmp_path, monkeypatch):
    """And that it is taken changes nothing."""
    taken = []
    real = checkpoints.save
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "save", lambda *given: (taken.append(given[2]), real(*given)))
    assert_same(train(tiny_ucf, Workspace(tmp_path, cache)), undisturbed)
    assert len(taken) == 6  # after every step, before and after every validation
    assert not any(process["gradients"] for state in taken for process in state["processes"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_that_diverges_ends_with_a_sentence_and_keeps_no_number(
    tiny_ucf, cache, tmp_path, workers
):
    space = Workspace(tmp_path, cache)
    with pytest.raises(InputError, match=r"The loss.* is no finite number at step \d: .* learning rate 1000"):
        train(tiny_ucf, space, learning_rate=1000, workers=workers)
    folder = space.folder(ORIGIN)
    assert not (folder / "result.json").exists()
    assert not checkpoints.exists(folder)


def test_weights_that_are_no_numbers_are_not_kept(tiny_ucf, cache, tmp_path, monkeypatch):
    """Also where no loss shows them, as after the last step."""
    real = VideoStream.on_train_epoch_end

    def end(stream):
        real(stream)
        next(stream.network.parameters()).data[0, 0] = float("nan")

    monkeypatch.setattr(VideoStream, "on_train_epoch_end", end)
    space = Workspace(tmp_path, cache)
    with pytest.raises(InputError, match=r"network\..*weight is no finite number at step 2"):
        train(tiny_ucf, space)
    assert not checkpoints.exists(space.folder(ORIGIN))


def test_a_training_by_two_processes_is_not_resumed_by_one(tiny_ucf, cache, tmp_path, monkeypatch):
    space, signals = Workspace(tmp_path, cache), SignalAt(monkeypatch, *STEPS)
    assert interrupted(tiny_ucf, space, signals, 4)
    real = checkpoints.load

    def load(*given):
        state = real(*given)
        return state | {"processes": 2 * state["processes"]}

    monkeypatch.setattr(checkpoints, "load", load)
    with pytest.raises(InputError, match="training by 2 processes, but this is one by 1: go on with as many"):
        train(tiny_ucf, space)


# ---------------------------------------------------------------------------------------------- the files


def state(number: float) -> dict:
    return {"weights": {"a": torch.full((1000,), number)}, "step": int(number)}


def test_the_newest_checkpoint_is_read_and_the_one_before_it_kept(tmp_path):
    assert checkpoints.load(tmp_path, "mine") is None
    for number in (1, 2, 3):
        checkpoints.save(tmp_path, "mine", state(number))
    assert checkpoints.load(tmp_path, "mine")["step"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    checkpoints.remove(tmp_path)
    assert not list(tmp_path.iterdir())


def torn(content: bytes) -> bytes:
    return content[:1000]


def flipped(content: bytes) -> bytes:
    return content[:2000] + bytes([content[2000] ^ 1]) + content[2001:]


def emptied(content: bytes) -> bytes:
    return b""


def lightnings(content: bytes) -> bytes:
    return content.partition(b"\n")[2]


@pytest.mark.parametrize("damage", [torn, flipped, emptied, lightnings])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path, damage, caplog):
    for number in (1, 2):
        checkpoints.save(tmp_path, "mine", state(number))
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    assert checkpoints.load(tmp_path, "mine")["step"] == 1
    assert f"{last} is damaged" in caplog.text
    checkpoints.save(tmp_path, "mine", state(3))
    last.unlink()  # as where the power goes while it is written
    assert checkpoints.load(tmp_path, "mine")["step"] == 1

    previous.write_bytes(damage(previous.read_bytes()))
    assert checkpoints.load(tmp_path, "mine") is None
    assert not checkpoints.exists(tmp_path)  # so that it begins again, and not each time in vain


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path, caplog):
    checkpoints.save(tmp_path, "mine", state(1))
    assert checkpoints.load(tmp_path, "another's") is None
    assert "other settings" in caplog.text


def test_a_full_disk_is_one_sentence_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    for number in (1, 2):
        checkpoints.save(tmp_path, "mine", state(number))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No disk space is left to write .*last\.ckpt"):
        checkpoints.save(tmp_path, "mine", state(3))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert checkpoints.load(tmp_path, "mine")["step"] == 2


def test_a_checkpoint_runs_no_code(tmp_path):
    """It is read as tensors and plain data alone."""
    checkpoints.save(tmp_path, "mine", {"step": 1, "path": tmp_path})
    assert checkpoints.load(tmp_path, "mine") is None
