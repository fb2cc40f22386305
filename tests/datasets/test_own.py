"""Data sets of one's own have names of their own, and everything kept of them is theirs alone."""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numbered import numbered_picture, write

from i3d_lightning.cli.main import main
from i3d_lightning.datasets import own
from i3d_lightning.datasets.check import check
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.datasets.preview import draw_preview
from i3d_lightning.datasets.registry import DATASETS, read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips, Flow, Recipe
from i3d_lightning.video.file import Segment

HEAD = "path,label,split,start,end\n"
LATER = f"{HEAD}x.mkv,a,train,1.5,3\ny.mkv,b,test,,\n"
QUICK = Flow(scales=1, warps=1, inner_iterations=2, outer_iterations=1)


@pytest.fixture
def home(tmp_path, touch, monkeypatch):
    """Two folders and a list beside them, to work in."""
    for name in ("one", "two"):
        touch(tmp_path / name, ["train/a/1.mp4", "train/b/1.mp4", f"test/{name}/1.mp4", "1.mp4", "2.mp4"])
    (tmp_path / "clips.csv").write_text("path,label,split\none/1.mp4,a,train\ntwo/1.mp4,b,test\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_is_a_data_set_called_as_it_is(home):
    for said, name in (
        ("one", "one"),
        ("./two/", "two"),
        ("clips.csv", "clips"),
        (str(home / "clips.csv"), "clips"),
        ("mine=clips.csv", "mine"),
        ("hands=one", "hands"),
        ("ucf101", "ucf101"),
    ):
        assert own.named(said) == name
    assert own.named("folder", Path("two")) == "two"
    assert read_dataset("one", None, 1).classes == ("a", "b", "one")
    assert read_dataset("two", None, 1).classes == ("a", "b", "two")
    assert (read_dataset("mine", None, 1).name, DATASETS["mine"].root) == ("mine", home)


def test_names_are_parts_of_paths_and_hide_nothing(home):
    (home / "My clips, v2 (new).csv").write_text((home / "clips.csv").read_text())
    assert own.named("My clips, v2 (new).csv") == "My-clips-v2-new"
    for name in ("ucf101", "demo", "kinetics", "none", "rgb", "folder"):
        shutil.copy("clips.csv", f"{name}.csv")
        with pytest.raises(InputError, match=f"cannot be called {name}, which means something else"):
            own.named(f"{name}.csv")
    shutil.copytree("one", "ucf101")
    assert own.named("ucf101") == "ucf101" and DATASETS["ucf101"].source is None
    for name in ("a/b", "a b", "..", "a+b"):
        with pytest.raises(InputError, match=rf"'{re.escape(name)}' is no name for"):
            own.named(f"{name}=clips.csv")
    for stem in ("n" * 101, "n" * 245):
        shutil.copy("clips.csv", f"{stem}.csv")
        with pytest.raises(InputError, match=rf"'{stem}' is no name for .* only, at most 100: call"):
            own.named(f"{stem}.csv")
    assert own.named(f"{'n' * 100}=clips.csv") == "n" * 100


def test_two_of_one_name_are_refused(home):
    (home / "other").mkdir()
    shutil.copy("clips.csv", "other/clips.csv")
    own.named("clips.csv")
    with pytest.raises(InputError, match=r"other/clips\.csv and .*clips\.csv are both called clips: call"):
        own.named("other/clips.csv")
    assert own.named("others=other/clips.csv") == "others"


@pytest.mark.parametrize(
    ("said", "root", "sentence"),
    [
        ("ucf-101", None, r"Unknown data set 'ucf-101': did you mean 'ucf101'\?"),
        ("lists/none.csv", None, r"lists/none.csv does not exist: give a list, or a folder"),
        ("lists/none", None, r"lists/none does not exist: give a list, or a folder"),
        ("one/1.mp4", None, r"one/1.mp4 is no list of videos \(.csv or .parquet\)"),
        ("", None, "The name of a data set is empty"),
        ("folder", None, "Say which folder"),
        ("one", Path("two"), "one is a folder of videos itself: drop --root two"),
        ("x" * 5000, None, "Unknown data set"),
    ],
)
def test_what_is_none_is_one_sentence(home, said, root, sentence):
    with pytest.raises(InputError, match=sentence):
        own.named(said, root)


def test_a_list_that_was_changed_is_read_again(home):
    made = own.add(home / "clips.csv")
    (home / "clips.csv").write_text(
        "path,label,split1,split2,group\none/1.mp4,a,train,test,x\ntwo/1.mp4,b,test,train,y\n"
    )
    assert (made.splits, own.add(home / "clips.csv").splits) == ((1,), (1, 2))
    assert DATASETS["clips"].groups


def test_what_another_process_is_told_is_enough(home):
    own.named("mine=clips.csv")
    said = own.source_of("mine")
    assert said == str(home / "clips.csv") and own.source_of("ucf101") is own.source_of("gone") is None
    del DATASETS._known["mine"]
    own.restore("mine", said)
    assert read_dataset("mine", None, 1).train[0].id == "one/1.mp4"
    del DATASETS._known["mine"]
    (home / "moved").mkdir()
    (home / "clips.csv").rename(home / "moved" / "clips.csv")
    with pytest.raises(
        InputError, match="which mine was made of, is gone: bring it back, or say with --dataset PATH where"
    ):
        own.restore("mine", said)
    with pytest.raises(
        InputError, match="is gone, and not in one: bring it back, or say with --dataset PATH where it is now"
    ):
        own.restore("mine", said, Path("one"))
    own.restore("mine", said, home / "moved")
    assert DATASETS["mine"].source == home / "moved" / "clips.csv"
    (home / "moved" / "clips.csv").rename(home / "moved" / "v2.csv")
    for place in ("moved/v2.csv", "mine=moved/v2.csv"):
        del DATASETS._known["mine"]
        own.restore("mine", said, Path("one"), place)
        assert DATASETS["mine"].source == home / "moved" / "v2.csv"
    with pytest.raises(InputError, match=r"moved/v3.csv does not exist"):
        own.restore("mine", said, None, "moved/v3.csv")
    del DATASETS._known["mine"]
    own.restore("mine", str(home / "gone"), Path("two"))
    assert DATASETS["mine"].root == home / "two"
    with pytest.raises(
        InputError, match=r"gone, which mine was made of, is gone: bring .* with --root FOLDER"
    ):
        own.restore("mine", str(home / "gone"))
    with pytest.raises(InputError, match="nowhere does not exist: give a list, or a folder"):
        own.restore("mine", str(home / "one"), Path("nowhere"))
    with pytest.raises(InputError, match=r"ucf101 is no data set of your own: drop --dataset moved/v2.csv"):
        own.restore("ucf101", None, None, "moved/v2.csv")


# ----------------------------------------------------------------------- real videos, and segments of them


@pytest.fixture
def films(tmp_path) -> Path:
    """Three films of 4 s that move differently, of which the last is a copy of the first."""
    random = np.random.default_rng(0)
    for name in ("x", "y"):
        still = [cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), (80, 48)) for _ in range(8)]
        pictures = [still[n // 13] // 2 + numbered_picture(n) // 2 for n in range(100)]
        write(tmp_path / f"{name}.mkv", pictures, "ffv1", "bgr0", Fraction(25), None, {}, {})
    shutil.copy(tmp_path / "x.mkv", tmp_path / "z.mkv")
    return tmp_path


def test_segments_are_videos_with_contents_of_their_own(films, tmp_path, caplog):
    (films / "clips.csv").write_text(
        f"{HEAD}x.mkv,a,train,0,1.5\nx.mkv,b,train,1.5,3\ny.mkv,a,train,,\nz.mkv,b,test,1.5,3\nz.mkv,a,test,3,4\n"
        "z.mkv,a,test,0.5,1\n"
    )
    name = own.add(films / "clips.csv").name
    made = load_manifest(name, None, 1, tmp_path / "manifests")
    train, test = made.data.train, made.data.test
    assert [v.segment for v in train] == [Segment(0, 1.5), Segment(1.5, 3), None]
    assert train[0].sha256 == train[1].sha256 == test[0].sha256
    assert len({v.content for v in train}) == 3
    assert test[0].content == train[1].content
    assert [v.leaked for v in test] == [True, False, True]  # the last shares moments with another part
    assert made.digest == made.data.digest
    assert [v.file.segment for v in test] == [Segment(1.5, 3), Segment(3, 4), Segment(0.5, 1)]
    again = load_manifest(name, None, 1, tmp_path / "manifests")
    assert again.data == made.data
    (films / "clips.csv").write_text((films / "clips.csv").read_text().replace("0,1.5", "0,1.48"))
    other = load_manifest(name, None, 1, tmp_path / "manifests")
    assert other.digest != made.digest
    assert other.data.train[0].id == "x.mkv#t=0,1.48"


def test_a_segment_beyond_its_file_is_refused_before_anything_runs(films, tmp_path):
    (films / "clips.csv").write_text(f"{HEAD}x.mkv,a,train,0,1\ny.mkv,b,test,3,4.5\n")
    with pytest.raises(InputError, match=r"y.mkv ends after 4 s, but its segment from 3 to 4.5 s is"):
        load_manifest(own.add(films / "clips.csv").name, None, 1, tmp_path / "manifests")


def test_two_lists_of_one_name_have_two_manifests(films, tmp_path):
    """In processes of their own, of the same root: what one found is not taken for what the other says."""
    found = []
    for folder, label in (("first", "a"), ("second", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clips.csv").write_text(
            f"path,label,split\nx.mkv,{label},train\ny.mkv,c,train\nz.mkv,c,test\n"
        )
        own.add(tmp_path / folder / "clips.csv")
        found.append(load_manifest("clips", films, 1, tmp_path / "manifests").data.classes)
        del DATASETS._known["clips"]
    assert found == [("a", "c"), ("b", "c")]


def test_check_and_preview_look_at_segments(films, tmp_path, monkeypatch):
    monkeypatch.chdir(films)
    (films / "clips.csv").write_text(
        f"{HEAD}x.mkv,a,train,0,1.5\nx.mkv,b,train,1.5,3\ny.mkv,a,train,0,2\nz.mkv,b,test,1.5,3\ny.mkv,b,test,2,4\n"
        "z.mkv,a,test,0.5,1.25\n"
    )
    report = check(own.named("clips.csv"), None, [], tmp_path / "manifests")
    assert {(f.kind, f.video, f.other) for f in report.faults} == {
        ("leak", "z.mkv#t=1.5,3", "x.mkv#t=1.5,3"),
        ("leak", "z.mkv#t=0.5,1.25", "x.mkv#t=0,1.5"),
        ("group", "y.mkv", ""),
    }
    main(["data", "check", "--dataset=clips.csv", "--fail_on=none", "--json"])
    assert Path("cache/checks/clips.jsonl").read_text().count('"leak"') == 2
    sheets = []
    for text, name in ((HEAD + "x.mkv,a,train,0,1.5\ny.mkv,b,test,,\n", "parts"), (LATER, "later")):
        (films / f"{name}.csv").write_text(text)
        data = load_manifest(own.named(f"{name}.csv"), None, 1, tmp_path / "manifests").data
        draw_preview(data, Recipe(Clips(short_side=48, crop=48, train_frames=9), QUICK), Path("sheet.png"))
        sheets.append(cv2.imread("sheet.png"))
    assert not np.array_equal(*sheets)
