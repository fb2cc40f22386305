"""Files in the wrong place, under the wrong name, or on no list."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from i3d_lightning.cli import data as verbs
from i3d_lightning.datasets import places
from i3d_lightning.datasets.check import check
from i3d_lightning.video.file import VideoFile


@pytest.fixture
def root(tiny_ucf, tmp_path):
    """One whose third class has no test video."""
    return Path(shutil.copytree(tiny_ucf, tmp_path / "ucf101"))


def test_a_name_that_is_no_text_is_spelt_out(root, tmp_path, capsys):
    """Such a file on no list neither ends the check nor the table."""
    name = os.fsencode(root / "UCF-101") + b"/caf\xe9.avi"
    shutil.copy(next((root / "UCF-101").glob("*/*.avi")), name)
    verbs.check("ucf101", root, cache=tmp_path / "cache")
    assert "UCF-101/caf\\xe9.avi" in capsys.readouterr().out
    assert check("ucf101", root, [1], tmp_path / "cache" / "manifests").of("missing")


def test_what_lies_behind_a_link_to_a_folder_is_the_same(root, tmp_path):
    for name in ("a link", "zz link"):
        (root / name).symlink_to(root / "UCF-101")
    assert not check("ucf101", root, [1], tmp_path).of("unlisted")


def test_a_folder_that_may_be_listed_but_not_entered_does_not_end_it(root, tmp_path, monkeypatch):
    closed, is_dir = root / "UCF-101" / "Red", Path.is_dir

    def ask(path: Path) -> bool:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", ask)
    assert not check("ucf101", root, [1], tmp_path).of("unlisted")


@pytest.mark.parametrize(
    ("id_", "file", "kind"),
    [
        ("Jump/v_Jump_g01_c01.avi", "more/v_Jump_g01_c01.avi", "misplaced"),
        ("Jump/v_Jump_g01_c01.avi", "Jump/V-jump g01 (c01).AVI", "renamed"),
        (
            "跳ぶ/v_跳ぶ_g01_c01.avi",
            "跳ぶ/v_跳ふ\u3099_g01_c01.avi",
            "renamed",
        ),  # decomposed, as macOS writes it
        ("跳ぶ/跳ぶ.avi", "走る/走る.avi", None),
        ("Jump/___.avi", "Jump/---.avi", None),
    ],
)
def test_names_are_told_by_their_letters(monkeypatch, tmp_path, id_, file, kind):
    monkeypatch.setattr(places, "identify", lambda strays, folder: [VideoFile(path) for path in strays])
    found = list(places._found([id_], [tmp_path / file], tmp_path))
    assert found == ([(id_, kind, tmp_path / file, "by its name")] if kind else [])


def test_many_that_are_missing_are_looked_for_among_many_in_little_time(monkeypatch, tmp_path):
    many = range(20_000)
    monkeypatch.setattr(places, "identify", lambda strays, folder: [VideoFile(path) for path in strays])
    missing = [f"Jump/v_Jump_g{number:05}.avi" for number in many]
    strays = [tmp_path / f"v-jump-g{number:05}.avi" for number in many if number % 2] + [
        tmp_path / f"other {number}.avi" for number in many
    ]
    began = time.process_time()
    found = list(places._found(missing, strays, tmp_path))
    assert time.process_time() - began < 10
    assert [(id_, file) for id_, _, file, _ in found] == list(zip(missing[1::2], strays, strict=False))
