"""Signals stop what runs, once, in order, and without a word from processes that are not asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i3d_lightning import interruption
from i3d_lightning.interruption import Interrupted


@pytest.fixture
def installed():
    interruption.install()
    yield
    interruption.uninstall()


def send(which: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), which)
    time.sleep(0.01)  # until Python has seen it


@pytest.mark.parametrize("which", interruption.SIGNALS)
def test_a_signal_raises_what_no_except_exception_catches(installed, which):
    with pytest.raises(Interrupted) as stop:
        try:
            send(which)
        except Exception:
            pytest.fail("swallowed")
    assert stop.value.signal == interruption.received() == which


def test_a_deferred_signal_is_noted_and_raised_at_the_end(installed):
    reached = False
    with pytest.raises(Interrupted), interruption.deferred():
        assert interruption.requested() is None
        send()
        assert interruption.requested() is signal.SIGTERM
        reached = True
    assert reached


def test_an_error_in_what_defers_is_not_hidden_by_the_signal(installed):
    with pytest.raises(ValueError), interruption.deferred():
        send()
        raise ValueError


def test_the_second_signal_means_now_unless_it_is_the_first_again(installed, monkeypatch):
    with pytest.raises(Interrupted) as stop, interruption.deferred():
        send(signal.SIGUSR1)
        send(signal.SIGUSR1)  # of a launcher to the whole group
        monkeypatch.setattr(interruption, "TOGETHER", 0.0)
        send(signal.SIGTERM)
        pytest.fail("it went on")
    assert stop.value.signal is signal.SIGUSR1


def test_a_signal_that_something_swallowed_stops_what_would_begin(installed):
    with pytest.raises(Interrupted):
        send()
    with pytest.raises(Interrupted), interruption.deferred():
        pytest.fail("it began")


def test_a_signal_amid_a_destructor_is_noted_without_a_traceback(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Goes:
        def __del__(self):
            signal.raise_signal(signal.SIGUSR1)

    interruption.install()
    try:
        Goes()
        assert not told
        with pytest.raises(Interrupted):
            interruption.check()
    finally:
        interruption.uninstall()


def test_signals_are_given_back():
    before = {which: signal.getsignal(which) for which in interruption.SIGNALS}
    interruption.install()
    assert all(signal.getsignal(which) != handler for which, handler in before.items())
    interruption.uninstall()
    assert {which: signal.getsignal(which) for which in interruption.SIGNALS} == before
    assert signal.set_wakeup_fd(-1) == -1


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_what_hangs_is_ended(tmp_path):
    command = script(
        tmp_path,
        "import time\n"
        "from i3d_lightning import interruption\n"
        "interruption.GRACE = 0.5\n"
        "interruption.install()\n"
        "while True:\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    except BaseException: pass\n",
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert process.returncode == 143
    assert said == "Interrupted: run the same command to go on.\n"


def test_ctrl_c_in_a_terminal_ends_data_loading_too_and_says_one_line(tmp_path):
    """The whole group gets it there."""
    command = script(
        tmp_path,
        "import sys, time, torch\n"
        "from torch.utils.data import DataLoader, Dataset\n"
        "from i3d_lightning import interruption\n"
        "class Slow(Dataset):\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, index):\n"
        "        time.sleep(0.05)\n"
        "        return index\n"
        "interruption.install()\n"
        "try:\n"
        "    for batch in DataLoader(Slow(), num_workers=2):\n"
        "        print(batch, flush=True)\n"
        "except interruption.Interrupted as stop:\n"
        "    sys.exit(interruption.farewell(stop.signal))\n",
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=10)  # also until the workers have closed their ends
    assert process.returncode == 130
    assert said == "Interrupted: run the same command to go on.\n"


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}, "requeue 7\n"),
        ({"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, "requeue 7_3\n"),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "1"}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "LOCAL_RANK": "1"}, None),
        ({}, None),
    ],
)
def test_slurm_is_asked_once_to_run_the_job_again(tmp_path, monkeypatch, environment, asked):
    stub = tmp_path / "scontrol"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    interruption.install()
    try:
        assert interruption.farewell(signal.SIGTERM) == 143
        assert not (tmp_path / "asked").exists()  # on preemption SLURM does it by itself
        assert interruption.farewell(signal.SIGUSR1) == 138
    finally:
        interruption.uninstall()
    assert ((tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else None) == asked
