"""Lists of one's own say what they mean, or are refused with the row and a remedy."""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i3d_lightning.datasets import lists, own
from i3d_lightning.datasets.folds import group_folds, hold_out
from i3d_lightning.datasets.lists import read_list
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.video.file import Segment

LIST = """path,label,split,group
a/1.mp4,cut,train,anna
a/2.mp4,sew,train,anna
b/1.mp4,cut,train,ben
b/2.mp4,sew,test,
c d/ü.mp4,"cut, twice",test,eve
"""
FILES = ("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "c d/ü.mp4")


@pytest.fixture
def write(tmp_path, touch):
    touch(tmp_path, FILES)

    def write(text: str | bytes, name: str = "clips.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_list_is_a_data_set_of_its_own(write, tmp_path):
    made = own.add(write(LIST))
    assert (made.name, made.splits, made.groups, made.root) == ("clips", (1,), True, tmp_path)
    split = read_dataset("clips", None, 1)
    assert (split.name, split.classes, split.tested_on) == ("clips", ("cut", "cut, twice", "sew"), "test")
    assert [(v.id, v.path, v.label, v.group) for v in split.train] == [
        ("a/1.mp4", tmp_path / "a/1.mp4", 0, "anna"),
        ("a/2.mp4", tmp_path / "a/2.mp4", 2, "anna"),
        ("b/1.mp4", tmp_path / "b/1.mp4", 0, "ben"),
    ]
    assert [(v.id, v.label, v.group) for v in split.test] == [
        ("b/2.mp4", 2, "b/2.mp4"),
        ("c d/ü.mp4", 1, "eve"),
    ]
    held = hold_out(split.train, 0.5, seed=0)
    assert {v.group for v in held[0]} & {v.group for v in held[1]} == set()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + LIST,
        LIST.replace("\n", "\r\n"),
        LIST.replace("path,label,split,group", " Path , LABEL,Split,group").replace(",train", ", Training"),
        LIST.replace("\n", "\n\n"),
        LIST.rstrip("\n"),
    ],
)
def test_it_may_be_written_as_programs_write_it(write, text):
    expected = read_list(write(LIST)).rows
    assert [row[1:] for row in read_list(write(text)).rows] == [row[1:] for row in expected]


def test_parquet_says_the_same(write, tmp_path):
    expected = read_list(write(LIST))
    frame = pd.read_csv(tmp_path / "clips.csv")
    frame["note"] = range(len(frame))
    frame.to_parquet(tmp_path / "clips.parquet")
    found = read_list(tmp_path / "clips.parquet")
    assert [row[1:] for row in found.rows] == [row[1:] for row in expected.rows]
    assert (expected.ignored, found.ignored) == ((), ("note",))


def test_each_split_has_a_column_and_an_empty_cell_leaves_a_video_out(write):
    text = (
        "path,label,split1,split2,split3\na/1.mp4,10,train,test,\na/2.mp4,9,train,train,train\n"
        "b/1.mp4,10,test,train,train\nb/2.mp4,9,test,test,val\n"
    )
    made = own.add(write(text))
    assert (made.splits, made.groups) == ((1, 2, 3), False)
    splits = [read_dataset("clips", None, number) for number in (1, 2, 3)]
    assert [s.classes for s in splits] == [("9", "10")] * 3  # by their numbers
    assert [[v.id for v in s.train] for s in splits] == [
        ["a/1.mp4", "a/2.mp4"],
        ["a/2.mp4", "b/1.mp4"],
        ["a/2.mp4", "b/1.mp4"],
    ]
    assert [[v.id for v in s.test] for s in splits] == [
        ["b/1.mp4", "b/2.mp4"],
        ["a/1.mp4", "b/2.mp4"],
        ["b/2.mp4"],
    ]
    assert [s.tested_on for s in splits] == ["test", "test", "validate"]
    assert splits[0].test[0].group == "b/1.mp4"
    with pytest.raises(InputError, match="clips has no split 4: it has 1, 2, 3"):
        read_dataset("clips", None, 4)


def test_segments_of_a_file_are_videos_of_one_group(write):
    text = (
        "path,label,split,start,end\na/1.mp4,cut,train,0,2.5\na/1.mp4,sew,train,2.5,0.30000000000000004e1\n"
        "a/1.mp4,cut,train,7,9\nb/1.mp4,sew,test,0.5,1\nb/2.mp4,cut,test,,\nb/1.mp4,cut,train,1,2\n"
    )
    made = own.add(write(text))
    assert made.groups
    split = read_dataset("clips", None, 1)
    assert [(v.id, v.segment, v.group) for v in split.train] == [
        ("a/1.mp4#t=0,2.5", Segment(0, 2.5), "a/1.mp4"),
        ("a/1.mp4#t=2.5,3", Segment(2.5, 3), "a/1.mp4"),
        ("a/1.mp4#t=7,9", Segment(7, 9), "a/1.mp4"),
        ("b/1.mp4#t=1,2", Segment(1, 2), "b/1.mp4"),
    ]
    assert [v.id for v in split.test] == ["b/1.mp4#t=0.5,1", "b/2.mp4"]
    folds = group_folds(split.train, 5, seed=0)
    assert len(folds) == 2  # of two files


def test_all_of_a_file_is_one_group_whatever_it_is_called(write, tmp_path):
    """It may lie anywhere: the group is called as the list first calls the file."""
    (tmp_path / "link.mp4").symlink_to("b/1.mp4")
    text = (
        f"path,label,split,start,end\nb/1.mp4,cut,train,0,1\n{tmp_path}/b/1.mp4,sew,train,1,2\n"
        "link.mp4,cut,train,2,3\na/1.mp4,sew,train,0,1\nb/2.mp4,sew,test,,\n"
    )
    split = read_dataset(own.add(write(text)).name, None, 1)
    assert [v.group for v in split.train] == ["b/1.mp4"] * 3 + ["a/1.mp4"]
    assert split.train[2].path == tmp_path / "link.mp4"


def test_what_is_trained_on_is_not_tested_on_through_a_link(write, tmp_path):
    (tmp_path / "link.mp4").symlink_to("a/1.mp4")
    own.add(write(f"{TIMES}0,5\nlink.mp4,cut,test,4,6\n"))
    with pytest.raises(InputError, match=r"on a/1.mp4#t=0,5 and tests on link.mp4#t=4,6, which overlap"):
        read_dataset("clips", None, 1)
    write(f"{TIMES}0,5\nlink.mp4,cut,test,5,6\n")
    assert [v.id for v in read_dataset("clips", None, 1).test] == ["b/1.mp4", "link.mp4#t=5,6"]


def test_all_of_a_list_is_identified_but_not_how_it_is_parted(write):
    def whole(text: str) -> str:
        return read_list(write(text)).digest

    before = whole(LIST)
    for old, new, same in (
        ("a/1.mp4,cut,train,anna\na/2.mp4,sew,train,anna",
         "a/2.mp4,sew,train,anna\na/1.mp4,cut,train,anna", True),
        ("b/1.mp4,cut,train", "b/1.mp4,cut,", True),
        ("b/1.mp4,cut,train", "b/1.mp4,sew,train", False),
        ("b/1.mp4,cut,train,ben", "b/1.mp4,cut,train,anna", False),
        ("b/1.mp4", "b/3.mp4", False),
        ('"cut, twice"', "cut", False),
    ):  # fmt: skip
        assert old in LIST and (whole(LIST.replace(old, new)) == before) == same
    assert read_dataset(own.add(write(LIST)).name, None, 1).whole == before


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("-1 2 10", "-1 2 10"),
        ("0.5 -3 10 +2", "-3 0.5 +2 10"),
        ("1e2 9 10", "9 10 1e2"),
        ("10 9 b", "10 9 b"),
        ("1_0 9 ２", "1_0 9 ２"),
        (f"{'9' * 5000} 10", f"10 {'9' * 5000}"),
    ],
)
def test_classes_that_are_all_numbers_are_in_their_order(write, labels, classes):
    rows = "".join(f"{n}.mp4,{label},train\n" for n, label in enumerate(labels.split()))
    assert read_list(write(HEAD + rows)).classes == tuple(classes.split())


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10.0, 2.0, -1.0], ("-1", "2", "10")),
        ([10, 2, -1], ("-1", "2", "10")),
        ([Decimal("10.00"), Decimal("2.00"), Decimal("-1.00")], ("-1", "2", "10")),
        ([True, False, True], ("False", "True")),
        (["x", "10", "9"], ("10", "9", "x")),
        ([1.0, 2.5, 3.0], "row 2 has the label 2.5, which is neither text nor a whole number"),
        ([b"x", b"y", b"x"], "row 1 has the label b'x', which is neither"),
        ([["x"], ["y"], ["x"]], r"row 1 has the label \['x'\], which is neither"),
        ([1.0, None, 3.0], "row 2 has no label"),
    ],
)
def test_labels_of_parquet_are_text_or_whole_numbers(tmp_path, labels, classes):
    file = tmp_path / "clips.parquet"
    paths = [f"{n}.mp4" for n in range(3)]
    pq.write_table(pa.table({"path": paths, "label": labels, "split": ["train", "train", "test"]}), file)
    if isinstance(classes, tuple):
        assert read_list(file).classes == classes
    else:
        with pytest.raises(InputError, match=classes):
            read_list(file)


def test_paths_begin_at_the_root_that_is_said_or_are_absolute(write, tmp_path, touch):
    touch(tmp_path / "videos", ["x.mp4"])
    own.add(write(f"path,label,split\nx.mp4,a,train\n{tmp_path}/a/1.mp4,b,test\n"))
    split = read_dataset("clips", tmp_path / "videos", 1)
    assert [v.path for v in (*split.train, *split.test)] == [tmp_path / "videos/x.mp4", tmp_path / "a/1.mp4"]


HEAD = "path,label,split\n"
BOTH = f"{HEAD}a/1.mp4,cut,train\nb/1.mp4,sew,test\n"
PARTS = "path,label,split,group,start,end\nb/1.mp4,sew,test,,,\na/1.mp4,cut,train,"
TIMES = "path,label,split,start,end\nb/1.mp4,sew,test,,\na/1.mp4,cut,train,"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "lacks the column path, label, split: it has none"),
        ("path,label\na,b\n", "lacks the column split: it has path, label"),
        ("path;label;split\na/1.mp4;cut;train\n", "column path, label, split: it has path;label;split"),
        ("path,label,split,label\n", "has the column label twice"),
        ("path,label,split,split1\n", "has a column split and numbered ones"),
        ("path,label,split,start\n", "has only one of the columns start and end"),
        (HEAD, "has no row"),
        (f"{BOTH}a/2.mp4,cut, jump,train\n", "line 4 has 4 cells for 3 columns"),
        (f"{BOTH}a/2.mp4,cut\n", "line 4 has 2 cells for 3 columns"),
        (f"{BOTH}a/2.mp4,,train\n", "line 4 has no label"),
        (f"{BOTH}a/2.mp4,nan,train\n", "line 4 has no label"),
        (f"{BOTH},cut,train\n", "line 4 has no path"),
        ("path,label,split,group\na/1.mp4,cut,train,nan\n", "line 2 has the group 'nan': fill it in"),
        (f"{BOTH}a/2.mp4,cut,tran\n", "line 4 says 'tran' in split, but must say train or test"),
        (f"{BOTH}a/2.mp4,cut,1\n", "line 4 says '1' in split"),
        (f"{BOTH}a/2.mp4,cut,val\n", "has videos to validate and to test on in split 1"),
        (f"{HEAD}a/1.mp4,cut,train\na/2.mp4,sew,train\n", "has no video to test on in split 1"),
        (f"{HEAD}a/1.mp4,cut,test\na/2.mp4,sew,test\n", "has no video to train on in split 1"),
        (f"{HEAD}a/1.mp4,cut,train\na/2.mp4,cut,test\n", "has the one label 'cut'"),
        (f"{BOTH}a/9.mp4,cut,train\n", r"line 4: there is no file \S*a/9.mp4; mend the list"),
        (f"{BOTH}a,cut,train\nz.mp4,cut,train\n", r"no file \S*/a, nor those of 1 more rows; mend"),
        (f"{BOTH}a/1.mp4,cut,train\n", r"line 4 lists a/1.mp4 again \(see line 2\): keep one"),
        (f"{BOTH}a/1.mp4,sew,train\n", r"again \(see line 2\), as 'cut' and as 'sew'"),
        (f"{BOTH}a/1.mp4,cut,test\n", r"line 4 lists a/1.mp4 again \(see line 2\)"),
        (f"{BOTH}../a/2.mp4,cut,train\n", "line 4 has the path '../a/2.mp4'"),
        (f"{BOTH}./a/2.mp4,cut,train\n", "line 4 has the path './a/2.mp4'"),
        (f"{BOTH}a/2\x01.mp4,cut,train\n", "line 4 has the path .* which is no text"),
        (f'{BOTH}"a/2.mp4,cut,train\n', "is no CSV list"),
        (BOTH.replace("cut", "café").encode("latin1"), "is not UTF-8 text: convert it"),
        (BOTH.encode("utf-16"), "is UTF-16 text: convert it, by iconv -f utf-16le -t utf-8"),
        (BOTH.encode("utf-16-be"), "is UTF-16 text: convert it, by iconv -f utf-16be -t utf-8"),
        (f"{HEAD}a/1.mp4,1,train\na/2.mp4,2,test\nb/1.mp4,01,test\n",
         "line 4 has the label '01', and line 2 the same number as '1': write it in one way"),
        (f"{PARTS}p,0,1\na/1.mp4,sew,train,,1,2\n",
         "line 4 and line 3 are of one file, a/1.mp4, but say different groups, none and 'p': say"),
        (f"{PARTS}p,0,1\na/1.mp4,sew,train,q,1,2\n", "different groups, 'q' and 'p'"),
        (f"{TIMES}2,1\n", "line 3 begins at 2 s and ends at 1 s"),
        (f"{TIMES}1,1\n", "line 3 begins at 1 s and ends at 1 s"),
        (f"{TIMES}-1,1\n", "line 3 begins at -1 s"),
        (f"{TIMES}1,\n", "line 3 has only one of start and end"),
        (f"{TIMES}nan,2\n", "line 3 has the start 'nan'"),
        (f"{TIMES}0:01,0:02\n", "line 3 has the start '0:01' and the end '0:02'"),
        (f"{TIMES}0,inf\n", "the end 'inf'"),
        (f"{TIMES}0,5\na/1.mp4,cut,test,4,6\n", r"on a/1.mp4#t=0,5 and tests on a/1.mp4#t=4,6, which"),
        (f"{TIMES}0,5\na/1.mp4,cut,test,,\n", r"trains on a/1.mp4#t=0,5 and tests on a/1.mp4, which overlap"),
        (f"{TIMES}0,5\na/1.mp4,cut,train,0.0,5.0\n", r"line 4 lists a/1.mp4#t=0,5 again"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_could_be_meant_in_two_ways_is_one_sentence(write, text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read_dataset(own.add(write(text)).name, None, 1)
    assert "\n" not in str(error.value)


def test_other_files_are_no_lists(write, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"clips.parquet cannot be read as Parquet \(.*\): mend it"):
        own.add(write(LIST, "clips.parquet"))
    with pytest.raises(InputError, match=r"gone.csv does not exist"):
        own.add(tmp_path / "gone.csv")
    monkeypatch.setattr(lists, "_LARGEST", 100)
    with pytest.raises(InputError, match="has 0 MB, but a list of videos at most 0"):
        own.add(write(LIST))


def test_what_may_be_meant_but_seldom_is_is_said(write, caplog):
    with caplog.at_level(logging.INFO):
        own.add(write(f"{LIST}b/3.mp4,new,test,anna\n".replace("group", "groups")))
    assert (
        "no groups are known, so each video is its own; columns without meaning here: groups" in caplog.text
    )
    (write("").parent / "b/3.mp4").touch()
    own.add(write(f"{LIST}b/3.mp4,new,test,anna\n"))
    with caplog.at_level(logging.WARNING):
        read_dataset("clips", None, 1)
    assert (
        "tests on 2 classes that split 1 does not train on, such as cut, twice: none can be right"
        in caplog.text
    )
    assert "trains and tests on videos of 1 groups in split 1, such as anna" in caplog.text
