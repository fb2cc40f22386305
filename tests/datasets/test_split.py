"""Lists and folders that are wrong: refused with where, or read rightly; never a traceback, never twice."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import write_video

from i3d_lightning.datasets import own
from i3d_lightning.datasets.kinetics import read_kinetics
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.errors import InputError

NAMES = ("A/v_A_g01_c01.avi", "A/v_A_g02_c01.avi", "B/v_B_g01_c01.avi", "B/v_B_g02_c01.avi")
TRAIN, TEST = "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\n", "A/v_A_g02_c01.avi\nB/v_B_g02_c01.avi\n"


@pytest.fixture
def root(tmp_path, touch):
    touch(tmp_path / "ucf" / "videos", NAMES)
    lists = tmp_path / "ucf" / "splits"
    lists.mkdir()
    for name, text in (("classInd", "1 A\n2 B\n"), ("trainlist01", TRAIN), ("testlist01", TEST)):
        (lists / f"{name}.txt").write_text(text)
    return tmp_path / "ucf"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "testlist01",
            "A/../../x.avi\n",
            r"testlist01.txt, line 1 names 'A/../../x.avi', which is no path below",
        ),
        ("testlist01", "\nA//x.avi\n", r"testlist01.txt, line 2 names 'A//x.avi'"),
        ("testlist01", "/etc/passwd\n", r"line 1 names '/etc/passwd', which is no path below"),
        ("testlist01", TEST + "A/v_A_g01_c01.avi\n", "lists A/v_A_g01_c01.avi to train and to test on"),
        ("trainlist01", "A/v_A_g01_c01.avi 2\n", "the class 2, but classInd.txt the class 1"),
        ("trainlist01", "A/v_A_g01_c01.avi 1 1\n", "the class 1 1, but"),
        ("testlist01", b"A/caf\xe9.avi\n", "is not UTF-8 text: convert it"),
        ("testlist01", "", "No test video of ucf101"),
        ("classInd", "1 A\n2 A\n", "line 2 names the class 'A' again"),
        ("classInd", "1 A\n3 B\n", "line 2 is '3 B', but must be 2 and a class"),
        ("classInd", "A\nB\n", "line 1 is 'A', but must be 1 and a class"),
    ],
)
def test_a_wrong_list_is_named(root, name, content, sentence):
    content = content if isinstance(content, bytes) else content.encode()
    (root / "splits" / f"{name}.txt").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        read_dataset("ucf101", root, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "written", ["\ufeff" + TEST, TEST.replace("\n", "  \r\n\r\n"), TEST + "\n\n \n", TEST.rstrip("\n")]
)
def test_a_list_may_be_written_as_editors_write_it(root, written):
    expected = read_dataset("ucf101", root, 1)
    (root / "splits" / "testlist01.txt").write_bytes(written.encode())
    assert read_dataset("ucf101", root, 1) == expected


def test_a_line_that_is_repeated_counts_once_and_is_said(root, caplog):
    expected = read_dataset("ucf101", root, 1)
    (root / "splits" / "testlist01.txt").write_text(TEST + TEST)
    with caplog.at_level(logging.WARNING):
        assert read_dataset("ucf101", root, 1) == expected
    assert "ucf101 lists 2 test videos twice; each counts once." in caplog.text


def test_file_names_that_are_not_utf8_are_named_printably(tmp_path, touch):
    touch(tmp_path, ["train/a/1.avi", "train/b/1.avi", "test/a/1.avi"])
    (tmp_path / "test" / "a" / os.fsdecode(b"caf\xe9.avi")).touch()
    with pytest.raises(InputError, match=r"test/a/caf\\udce9.avi' is not UTF-8 text: rename") as error:
        read_dataset(own.add(tmp_path).name, None, 1)
    str(error.value).encode()
    (tmp_path / "test" / "a" / os.fsdecode(b"caf\xe9.avi")).rename(tmp_path / "test" / "a" / "café\u3000.avi")
    assert len(read_dataset(own.add(tmp_path).name, None, 1).test) == 2


def test_links_to_nowhere_are_missing_and_links_back_are_walked_once(root, tmp_path):
    video = root / "videos" / NAMES[2]
    video.unlink()
    video.symlink_to("nowhere")
    (root / "videos" / "A" / "back").symlink_to(root)
    (root / "videos" / "self").symlink_to("self")
    assert read_dataset("ucf101", root, 1).missing_train == (NAMES[2],)
    assert load_manifest("ucf101", root, 1, tmp_path / "manifests").data.missing_train == (NAMES[2],)


def test_linked_folders_are_found_and_pipes_are_not_read(tmp_path, touch):
    touch(tmp_path / "elsewhere", ["abseiling/aaaaaaaaaaa.mp4", "abseiling/ccccccccccc.mp4"])
    root = tmp_path / "kinetics"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    os.mkfifo(root / "ddddddddddd.mp4")
    header = "label,youtube_id,time_start,time_end,split\n"
    (root / "train.csv").write_text(
        header + "abseiling,aaaaaaaaaaa,0,10,train\nabseiling,ddddddddddd,0,10,train\n"
    )
    (root / "validate.csv").write_text(header + "abseiling,ccccccccccc,0,10,validate\n")
    split = read_dataset("kinetics", root, 1)
    assert [v.group for v in (*split.train, *split.test)] == ["aaaaaaaaaaa", "ccccccccccc"]
    assert split.missing_train == ("ddddddddddd_000000_000010",)
    (root / "train.csv").write_text(header + "abseiling,aaaaaaaaaaa,0,10,x\nzumba,aaaaaaaaaaa,0,10,x\n")
    with pytest.raises(InputError, match="lists aaaaaaaaaaa_000000_000010 as 'abseiling' and as 'zumba'"):
        read_dataset("kinetics", root, 1)
    (root / "train.csv").write_text(header + "abseiling,aaaaaaaaaaa,0,10,x\nabseiling,aaaaaaaaaaa,20,30,x\n")
    with pytest.raises(InputError, match="is both aaaaaaaaaaa_000000_000010 and aaaaaaaaaaa_000020_000030"):
        read_dataset("kinetics", root, 1)


@pytest.mark.parametrize(
    "row", ["a,x,nan,10,t", "a,x,10,0,t", "a,x,,,t", "a,../x,0,10,t", "a,x,0,1e9,t", "a"]
)
def test_a_row_that_is_no_clip_is_named(tmp_path, row):
    (tmp_path / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{row}\n")
    with pytest.raises(InputError, match=r"train.csv has a row that is no clip of a video"):
        read_kinetics(tmp_path, 1)


def test_the_same_content_to_train_and_to_test_is_counted(tmp_path, caplog):
    """Real UCF-101 has such a pair."""
    for part, number in (("train", 1), ("train", 2), ("test", 3)):
        write_video(tmp_path / "mine" / part / "a" / f"{number}.avi", 0, seed=number)
    shutil.copy(tmp_path / "mine/train/a/2.avi", tmp_path / "mine/test/a/4.avi")
    with caplog.at_level(logging.WARNING):
        load_manifest(own.add(tmp_path / "mine").name, None, 1, tmp_path / "manifests")
    said = "1 of 2 test videos of mine, split 1, are trained on under another name"
    assert f"{said}, such as test/a/4.avi as train/a/2.avi." in caplog.text


LINE = st.one_of(
    st.sampled_from(NAMES),
    st.text(max_size=12),
    st.builds("{} {}".format, st.sampled_from(NAMES), st.integers(-1, 3)),
    st.builds("{}/{}".format, st.sampled_from(["A", "B", "..", ""]), st.text(max_size=5)),
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(lists=st.tuples(st.lists(LINE, max_size=4), st.lists(LINE, max_size=4), st.lists(LINE, max_size=2)))
def test_whatever_lists_say_is_read_rightly_or_one_sentence(lists, tmp_path_factory):
    root = Path(tmp_path_factory.getbasetemp()) / "lists"
    for name in NAMES:
        (root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "videos" / name).touch()
    (root / "splits").mkdir(exist_ok=True)
    classes = ["1 A", "2 B", *lists[2]][-2:] if len(lists[2]) > 1 else ["1 A", "2 B"]
    for name, lines in zip(("trainlist01", "testlist01", "classInd"), (*lists[:2], classes), strict=True):
        (root / "splits" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8", newline="")
    try:
        split = read_dataset("ucf101", root, 1)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        paths = [video.path for video in (*split.train, *split.test)]
        assert len(set(paths)) == len(paths)
        assert all(path.resolve().is_relative_to(root.resolve()) for path in paths)
        assert read_ucf101(root, 1).classes == split.classes
