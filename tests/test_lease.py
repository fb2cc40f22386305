"""Leases with real processes: one at a time, whoever dies, stops or comes late."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from i3d_lightning import lease
from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.lease import LeaseLostError, held
from i3d_lightning.processes import Process, this

ELSEWHERE = {"host": "elsewhere", "space": "0123", "number": 7, "started": 1, "since": "noon", "what": "it"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in (("BEAT", 0.1), ("STALE", 0.6), ("_POLL", 0.02)):
        monkeypatch.setattr(lease, name, seconds)


def left_by(folder: Path, number: int = 1, age: float = 0.0, **about: object) -> Path:
    """A lease as another process wrote it, last touched `age` seconds ago."""
    path = folder / f".lease.{number}"
    path.write_text(json.dumps(ELSEWHERE | about))
    os.utime(path, (time.time() - age,) * 2)
    return path


def start(folder: Path, inside: str) -> subprocess.Popen[str]:
    """A process of its own that holds a folder, says so, and then does something."""
    code = f"""
        import sys, time
        from pathlib import Path
        from i3d_lightning import lease
        from i3d_lightning.files import write_atomically
        lease.BEAT, lease.STALE, lease._POLL = 0.1, 0.6, 0.02
        folder = Path({str(folder)!r})
        with lease.held(folder, "something"):
            print("held", flush=True)
            {inside}
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nothing_is_left_behind(tmp_path):
    with held(tmp_path / "a" / "run", "it"):
        (file,) = (tmp_path / "a" / "run").iterdir()
        assert json.loads(file.read_text())["number"] == os.getpid()
    assert not list((tmp_path / "a" / "run").iterdir())
    with pytest.raises(ZeroDivisionError), held(tmp_path, "it"):
        _ = 1 / 0
    assert not list(tmp_path.glob(".*"))


def test_a_live_holder_is_waited_for_and_named_once(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    process = start(tmp_path, "time.sleep(1.2)")  # longer than a lease without a sign of life
    met = []
    with held(tmp_path, "it", met.append):
        assert process.wait() == 0
    assert {holder.process.number for holder in met} == {process.pid}
    (record,) = caplog.records
    assert f"something is being run by process {process.pid} on " in record.getMessage()


def test_a_wait_can_be_given_up(tmp_path):
    left_by(tmp_path)

    def refuse(holder):
        raise InputError(f"no: {holder}")

    with pytest.raises(InputError, match="no: process 7 on elsewhere since noon"), held(tmp_path, "", refuse):
        pytest.fail("it was held")
    assert [path.name for path in tmp_path.iterdir()] == [".lease.1"]


def test_nobody_waits_for_a_killed_process_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "STALE", 1e9)
    process = start(tmp_path, "time.sleep(60)")
    process.kill()
    began = time.monotonic()
    with held(tmp_path, "it"):  # not waited for by its parent: what is left of it is no process
        assert time.monotonic() - began < 0.5
    process.wait()


def test_another_process_of_the_same_number_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "STALE", 1e9)
    left_by(tmp_path, space=this().space, number=os.getpid(), started=this().started - 1)
    with held(tmp_path, "it"):
        pass


def test_a_machine_that_is_gone_is_given_up_by_the_folders_clock(tmp_path, monkeypatch):
    left_by(tmp_path, age=-1000)  # the folder's clock was set back: it is watched
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's own says nothing
    began = time.monotonic()
    with held(tmp_path, "it"):
        assert lease.STALE <= time.monotonic() - began < 3 * lease.STALE


def test_one_who_was_silent_for_long_is_watched_for_two_beats(tmp_path):
    left_by(tmp_path, age=1000)
    began = time.monotonic()
    with held(tmp_path, "it"):
        assert 2 * lease.BEAT <= time.monotonic() - began < lease.STALE


def test_a_damaged_lease_is_given_up_as_a_silent_one(tmp_path):
    path = left_by(tmp_path)
    path.write_bytes(b"")
    with held(tmp_path, "it"):
        pass
    assert not list(tmp_path.iterdir())


def test_who_was_stopped_and_overtaken_writes_nothing(tmp_path):
    write = "write_atomically(folder / 'result', lambda file: file.write(b'old'))"
    process = start(tmp_path, f"sys.stdin.readline(); {write}")
    os.kill(process.pid, signal.SIGSTOP)
    with held(tmp_path, "it"):
        os.kill(process.pid, signal.SIGCONT)
        _, said = process.communicate("go\n", timeout=30)
        assert process.returncode == 1
        assert "LeaseLostError" in said
        assert f"was taken over by process {os.getpid()}" in said
        assert [path.name for path in tmp_path.iterdir()] == [".lease.2"]
        write_atomically(tmp_path / "result", lambda file: file.write(b"new"))
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_the_next_holder_of_the_same_number_is_another(tmp_path):
    with held(tmp_path, "it"):
        left_by(tmp_path)
        with pytest.raises(LeaseLostError, match="taken over by process 7 on elsewhere"):
            write_atomically(tmp_path / "deep" / "file", lambda file: file.write(b""))
        time.sleep(3 * lease.BEAT)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".lease.1"]  # not ours to remove
    assert not list((tmp_path / "deep").iterdir())


def test_of_eight_that_find_a_dead_holder_one_at_a_time_takes_over(tmp_path):
    rounds = 50
    context = multiprocessing.get_context("fork")
    barrier, errors = context.Barrier(8), context.Queue()
    workers = [context.Process(target=race, args=(tmp_path, rounds, barrier, errors)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert errors.empty()
    assert len((tmp_path / "turns").read_text()) == 8 * rounds
    assert [path.name for path in tmp_path.iterdir()] == ["turns"]


def race(folder: Path, rounds: int, barrier, errors) -> None:
    lease._POLL = 0.002
    for _ in range(rounds):
        if barrier.wait() == 0:
            left_by(folder, space=this().space, number=2**22 + 1)
            left_by(folder, number=4, space=this().space, started=2)  # of a takeover that broke off
        barrier.wait()
        with held(folder, "it"):
            with (folder / "inside").open("x"), (folder / "turns").open("a") as turns:
                turns.write(".")  # the first fails where another is inside
            (folder / "inside").unlink()


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "file/below"):
        with pytest.raises(InputError, match=r"Cannot write .*; choose another"), held(tmp_path / name, "it"):
            pass


def test_a_process_elsewhere_is_not_judged():
    assert this().alive is True
    assert Process("", "elsewhere", os.getpid(), this().started).alive is None


def test_a_lease_that_could_not_be_taken_away_keeps_nobody_waiting(tmp_path, monkeypatch):
    """Its process lives, and would wait for itself."""
    with monkeypatch.context() as broken, lease.held(tmp_path, "first"):
        broken.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "broken")))
    assert list(tmp_path.glob(".lease.*"))
    with lease.held(tmp_path, "second"):
        pass
    assert not list(tmp_path.glob(".lease.*"))
