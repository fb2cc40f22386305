from __future__ import annotations

import hashlib
import os

import pytest

from i3d_lightning.plan import InputError
from i3d_lightning.video import content
from i3d_lightning.video.content import content_sha256


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "video.avi"
    path.write_bytes(b"some content")
    return path


def new_process(monkeypatch, hashing=None):
    content._remembered.cache_clear()
    if hashing is not None:
        monkeypatch.setattr(content, "file_sha256", hashing)


def not_again(path):
    raise AssertionError(f"{path} is read again")


def test_is_the_sha256(file):
    assert content_sha256(file) == hashlib.sha256(b"some content").hexdigest()


def test_is_remembered_by_the_next_process(file, monkeypatch):
    expected = content_sha256(file)
    new_process(monkeypatch, hashing=not_again)
    assert content_sha256(file) == expected


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_file_is_hashed_anew(file, monkeypatch, same_size):
    content_sha256(file)
    changed = b"SOME CONTENT" if same_size else b"other"
    file.write_bytes(changed)
    os.utime(file, ns=(0, 1))
    assert content_sha256(file) == hashlib.sha256(changed).hexdigest()
    new_process(monkeypatch)
    assert content_sha256(file) == hashlib.sha256(changed).hexdigest()


@pytest.mark.parametrize("spoil", ["file in the way", "garbage"])
def test_works_without_a_memory(file, tmp_path, monkeypatch, spoil):
    cache = tmp_path / "spoilt"
    if spoil == "file in the way":
        cache.write_text("not a folder")
    else:
        (cache / "i3d-lightning").mkdir(parents=True)
        (cache / "i3d-lightning" / "contents.sqlite").write_bytes(b"no database" * 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert content_sha256(file) == hashlib.sha256(b"some content").hexdigest()


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.avi cannot be read"):
        content_sha256(tmp_path / "gone.avi")
