"""Files that are whole or not there: whatever fails, with real limits, real full disks and real kills."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from i3d_lightning import files
from i3d_lightning.errors import DiskFullError, InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.processes import this

MANY = np.random.default_rng(0).integers(0, 255, 400_000, dtype=np.uint8)
WRITERS = {
    "bytes": lambda file: file.write(MANY.tobytes()),
    "np.save": lambda file: np.save(file, MANY),
    "np.savez_compressed": lambda file: np.savez_compressed(file, many=MANY),
    "torch.save": lambda file: torch.save(torch.from_numpy(MANY), file),
    "parquet": lambda file: pq.write_table(pa.table({"many": MANY}), file),
}


@pytest.fixture(autouse=True)
def untidied(monkeypatch):
    monkeypatch.setattr(files, "_tidied", set())


@pytest.mark.parametrize("writer", WRITERS)
def test_what_was_written_is_read(tmp_path, writer):
    path = tmp_path / "new" / "file"
    write_atomically(path, WRITERS[writer])
    read = {
        "bytes": lambda: np.frombuffer(path.read_bytes(), np.uint8),
        "np.save": lambda: np.load(path),
        "np.savez_compressed": lambda: np.load(path)["many"],
        "torch.save": lambda: torch.load(path, weights_only=True).numpy(),
        "parquet": lambda: pq.read_table(path)["many"].to_numpy(),
    }[writer]()
    assert np.array_equal(read, MANY)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.fixture
def no_large_files():
    """No file may grow beyond 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_refused_write_is_one_sentence_whatever_the_writer_makes_of_it(tmp_path, no_large_files, writer):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=r"^Cannot write .*/file: File too large; choose another folder\.$"):
        write_atomically(path, WRITERS[writer])
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 200 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_sentence_whatever_the_writer_makes_of_it(full_disk, writer):
    with pytest.raises(DiskFullError, match=r"^No disk space is left to write .*/file: free some"):
        write_atomically(full_disk / "file", WRITERS[writer])
    assert not list(full_disk.iterdir())


def test_errors_of_the_writer_itself_are_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_atomically(tmp_path / "file", lambda file: file.write(Path("nowhere").read_bytes()))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", lambda file: interrupt())
    assert not list(tmp_path.iterdir())


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("fails", ["fsync", "replace", "unlink too"])
def test_the_first_error_is_the_one_that_is_told(tmp_path, monkeypatch, fails):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), refuse)
    if fails == "unlink too":
        monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InputError, match=r"Cannot write .*/file: Read-only file system"):
        write_atomically(tmp_path / "file", lambda file: file.write(b""))
    assert not (tmp_path / "file").exists()


def write_for_ever(path: Path) -> None:
    for number in range(10**9):
        write_atomically(path, lambda file, n=number: file.write(bytes([n % 256]) * 100_000))


def test_two_at_once_and_killed_leave_a_whole_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_for_ever, args=(path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    for writer in writers:
        assert writer.is_alive()
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    content = path.read_bytes()
    assert content == content[:1] * 100_000
    write_atomically(path, lambda file: file.write(b"whole"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_dead_processes_were_writing_is_removed_and_nothing_else(tmp_path):
    here = this()
    names = {
        f".a.{here.space}-{here.number}-{here.started}-01234567.tmp": False,
        f".a.{here.space}-{2**22 + 1}-5-01234567.tmp": True,  # dead
        f".a.{here.space}-{here.number}-{here.started - 1}-01234567.tmp": True,
        ".a.fedcba987654-17-5-01234567.tmp": False,  # of another machine, which may live
        ".a.fedcba987654-18-5-01234567.tmp": True,  # a day old
        ".a.tmp": False,  # not ours
    }
    for name in names:
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / ".a.fedcba987654-18-5-01234567.tmp", (time.time() - 90_000,) * 2)
    write_atomically(tmp_path / "b", lambda file: file.write(b""))
    assert {p.name for p in tmp_path.iterdir()} == {"b", *(name for name, gone in names.items() if not gone)}


def test_a_long_name_is_no_hindrance(tmp_path):
    write_atomically(tmp_path / ("x" * 250), lambda file: file.write(b""))
    write_atomically(tmp_path / ("é" * 120), lambda file: file.write(b""))
    assert len(list(tmp_path.iterdir())) == 2
