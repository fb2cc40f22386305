from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.errors import InputError

TRAIN = ("A/v_A_g02_c01.avi 1", "A/v_A_g03_c01.avi 1", "HandstandPushups/v_HandStandPushups_g02_c01.avi 2")
TEST = ("A/v_A_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.avi")


@pytest.fixture
def make_root(tmp_path, touch):
    def make(videos="UCF-101", lists="ucfTrainTestlist", present=(*TRAIN, *TEST)) -> Path:
        folder = tmp_path / lists
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classInd.txt").write_text("1 A\r\n2 HandstandPushups\r\n3 Unseen\r\n")
        for split in (1, 2):
            (folder / f"trainlist0{split}.txt").write_text("\r\n".join(TRAIN) + "\r\n")
            (folder / f"testlist0{split}.txt").write_text("\n".join(TEST) + "\n\n")
        touch(tmp_path / videos, [name.split()[0] for name in present])
        return tmp_path

    return make


@pytest.mark.parametrize("videos", ["UCF-101", "videos", "."])
@pytest.mark.parametrize("lists", ["ucfTrainTestlist", "splits", "."])
def test_layouts(make_root, videos, lists):
    root = make_root(videos, lists)
    split = read_ucf101(root, 1)
    assert split.classes == ("A", "HandstandPushups", "Unseen")
    assert [v.id for v in split.test] == list(TEST)
    assert [v.label for v in split.train] == [0, 0, 1]
    assert [v.group for v in split.train] == ["A/g02", "A/g03", "HandstandPushups/g02"]
    assert all(v.path == root / videos / v.id and v.path.is_file() for v in (*split.train, *split.test))
    assert split.missing_train == split.missing_test == ()


def test_absent_videos_are_counted_and_unlisted_ones_ignored(make_root):
    split = read_ucf101(make_root(present=(TRAIN[1], TEST[0], "A/v_A_g09_c01.avi", "B/v_B_g01_c01.avi")), 1)
    assert [v.id for v in split.train] == ["A/v_A_g03_c01.avi"]
    assert split.missing_train == ("A/v_A_g02_c01.avi", "HandstandPushups/v_HandStandPushups_g02_c01.avi")
    assert split.missing_test == (TEST[1],)


def test_the_paths_in_the_lists_count_not_the_file_names(assets):
    split = read_ucf101(assets / "ucf101", 1)
    handstands = [v for v in split.train if v.path.name.startswith("v_HandStandPushups")]
    assert {split.classes[v.label] for v in handstands} == {"HandstandPushups"}
    assert len(handstands) == 17


@pytest.mark.parametrize(
    ("number", "train", "test", "listed_train", "listed_test"),
    [(1, 274, 110, 9537, 3783), (2, 275, 109, 9586, 3734), (3, 274, 110, 9624, 3696)],
)
def test_the_ten_real_classes(assets, number, train, test, listed_train, listed_test):
    split = read_ucf101(assets / "ucf101", number)
    assert len(split.classes) == 101
    assert (len(split.train), len(split.test)) == (train, test)
    assert len(split.train) + len(split.missing_train) == listed_train
    assert len(split.test) + len(split.missing_test) == listed_test
    assert len({v.label for v in split.train}) == 10


@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_no_group_is_on_both_official_lists(assets, tmp_path, touch, number):
    lists = assets / "ucf101" / "splits"
    shutil.copytree(lists, tmp_path / "splits")
    names = [
        line.split()[0]
        for part in ("train", "test")
        for line in (lists / f"{part}list0{number}.txt").read_text().splitlines()
    ]
    touch(tmp_path / "videos", names)
    split = read_ucf101(tmp_path, number)
    assert len(split.train) + len(split.test) == 13320
    groups = [{v.group for v in part} for part in (split.train, split.test)]
    assert len(groups[0] | groups[1]) == 101 * 25
    assert not groups[0] & groups[1]


def test_bad_roots(make_root, tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder"):
        read_ucf101(tmp_path / "nowhere", 1)
    with pytest.raises(
        InputError, match=r"No UCF-101 class list below .*: looked for ucfTrainTestlist/classInd"
    ):
        read_ucf101(tmp_path, 1)
    root = make_root(present=())
    with pytest.raises(
        InputError, match=r"No UCF-101 videos below .*: looked for UCF-101/\*/\*\.avi, videos/"
    ):
        read_ucf101(root, 1)


@pytest.mark.parametrize("number", [0, 3])
def test_a_split_that_is_not_there(make_root, number):
    with pytest.raises(InputError, match=rf"no split {number} in .*choose one of \[1, 2\]"):
        read_ucf101(make_root(), number)


def test_a_class_that_is_not_in_the_class_list(make_root):
    root = make_root()
    with (root / "ucfTrainTestlist" / "testlist01.txt").open("a") as file:
        file.write("Surfing/v_Surfing_g01_c01.avi\n")
    with pytest.raises(
        InputError, match=r"testlist01\.txt names the class 'Surfing', which classInd\.txt lacks"
    ):
        read_ucf101(root, 1)
