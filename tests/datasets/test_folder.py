from __future__ import annotations

import pytest

from i3d_lightning.datasets.folder import read_folder
from i3d_lightning.errors import InputError


def test_classes_are_those_of_both_parts(tmp_path, touch):
    touch(tmp_path, ["train/b/1.mp4", "train/b/2.AVI", "train/b/notes.txt", "train/a/1.mp4", "test/c/1.webm"])
    split = read_folder(tmp_path, 1)
    assert split.classes == ("a", "b", "c")
    assert [(v.id, v.label) for v in split.train] == [
        ("train/a/1.mp4", 0),
        ("train/b/1.mp4", 1),
        ("train/b/2.AVI", 1),
    ]
    assert [(v.id, v.label, v.path) for v in split.test] == [("test/c/1.webm", 2, tmp_path / "test/c/1.webm")]
    assert len({v.group for v in split.train}) == 3


def test_a_part_is_missing(tmp_path, touch):
    touch(tmp_path, ["train/a/1.mp4"])
    with pytest.raises(InputError, match=r"No test videos below .*: looked for test/"):
        read_folder(tmp_path, 1)


def test_there_is_one_split(tmp_path, touch):
    touch(tmp_path, ["train/a/1.mp4", "test/a/1.mp4"])
    with pytest.raises(InputError, match="no split 2"):
        read_folder(tmp_path, 2)
