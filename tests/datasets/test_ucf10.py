from __future__ import annotations

import shutil

import pytest

from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.datasets.ucf10 import listed, read_ucf10
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.errors import InputError

SPLITS = [(1, 274, 110), (2, 275, 109), (3, 274, 110)]


@pytest.fixture
def whole_ucf101(assets, tmp_path, touch):
    """UCF-101 as downloaded, with every video of these ten classes and of another; files are empty."""
    lists = tmp_path / "ucfTrainTestlist"
    shutil.copytree(assets / "ucf101" / "splits", lists)
    names = {line.split()[0] for file in lists.glob("t*list01.txt") for line in file.read_text().splitlines()}
    classes = {id_.split("/")[0] for id_ in listed()} | {"YoYo"}
    touch(tmp_path / "UCF-101", (name for name in names if name.split("/")[0] in classes))
    return tmp_path


def test_the_list_is_384_videos_of_ten_classes_in_the_order_of_their_names():
    assert len(listed()) == len(set(listed())) == 384
    assert list(listed()) == sorted(listed())
    assert len({id_.split("/")[0] for id_ in listed()}) == 10


@pytest.mark.parametrize(("number", "train", "test"), SPLITS)
def test_the_videos_at_hand_are_those_listed(assets, number, train, test):
    split = read_dataset("ucf10", assets / "ucf101", number)
    assert (split.name, len(split.classes), len(split.train), len(split.test)) == ("ucf10", 10, train, test)
    assert {video.id for video in (*split.train, *split.test)} == set(listed())
    assert split.missing_train == split.missing_test == ()
    assert all(split.classes[v.label] == v.id.split("/")[0] for v in (*split.train, *split.test))
    assert not {v.group for v in split.train} & {v.group for v in split.test}


@pytest.mark.parametrize(("number", "train", "test"), SPLITS)
def test_a_whole_ucf101_gives_the_same(assets, whole_ucf101, number, train, test):
    small, large = read_ucf10(assets / "ucf101", number), read_ucf10(whole_ucf101, number)
    assert small.classes == large.classes
    for part in ("train", "test"):
        few, many = ([(v.id, v.label, v.group) for v in getattr(s, part)] for s in (small, large))
        assert few == many
    assert (len(large.train), len(large.test)) == (train, test)
    assert large.missing_train == large.missing_test == ()


def test_listed_videos_without_a_file_are_missing(whole_ucf101):
    before = read_ucf10(whole_ucf101, 1)
    before.train[0].path.unlink()
    before.test[-1].path.unlink()
    next(v for v in read_ucf101(whole_ucf101, 1).train if v.id not in listed()).path.unlink()
    after = read_ucf10(whole_ucf101, 1)
    assert (after.missing_train, after.missing_test) == ((before.train[0].id,), (before.test[-1].id,))
    assert after.train == before.train[1:] and after.test == before.test[:-1]


def test_only_the_official_splits(assets):
    with pytest.raises(InputError, match="ucf10 has no split 4: it has 1, 2, 3"):
        read_dataset("ucf10", assets / "ucf101", 4)
