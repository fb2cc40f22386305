from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i3d_lightning.datasets.folds import HELD_OUT, group_folds, hold_out, without_test
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError


def videos(groups_of_classes: list[list[int]]) -> list[Video]:
    """Groups of given sizes for each class."""
    return [
        Video(f"{label}/{group}/{clip}", Path("x.avi"), label, f"{label}/{group}")
        for label, sizes in enumerate(groups_of_classes)
        for group, size in enumerate(sizes)
        for clip in range(size)
    ]


def films(seed: int = 0, count: int = 600) -> list[Video]:
    """Sources that hold several classes, as in HMDB-51."""
    random = np.random.default_rng(seed)
    return [
        Video(str(i), Path("x.avi"), int(random.integers(10)), f"film{int(random.geometric(0.02))}")
        for i in range(count)
    ]


@pytest.mark.parametrize("sample", [videos([[4] * 25] * 10), videos([[1] * 8] * 5), films()])
@pytest.mark.parametrize("seed", [0, 1])
def test_hold_out_parts_whole_groups(sample, seed):
    train, validation = hold_out(sample, 0.1, seed)
    assert sorted(v.id for v in (*train, *validation)) == sorted(v.id for v in sample)
    assert not {v.group for v in train} & {v.group for v in validation}
    assert {v.label for v in train} == {v.label for v in sample}
    assert len(validation) == pytest.approx(0.1 * len(sample), abs=4)


def test_hold_out_is_balanced_over_classes():
    _, validation = hold_out(videos([[4] * 25] * 10), 0.1, 0)
    held_out = Counter(v.label for v in validation)
    assert all(held_out[label] in (8, 12) for label in range(10))
    assert sum(held_out.values()) == 100


def test_hold_out_shares_what_is_too_little_for_every_class():
    _, validation = hold_out(videos([[1] * 4] * 10), 0.1, 0)
    assert sorted(Counter(v.label for v in validation).values()) == [1, 1, 1, 1]


def test_hold_out_depends_on_the_seed_but_not_on_the_order_of_groups():
    sample = videos([[2] * 10] * 3)
    first, again, other = hold_out(sample, 0.2, 0), hold_out(sample[::-1], 0.2, 0), hold_out(sample, 0.2, 1)
    assert {v.id for v in first[1]} == {v.id for v in again[1]} != {v.id for v in other[1]}


def test_every_class_keeps_training_videos():
    train, validation = hold_out(videos([[3], [3], [1, 5]]), 0.5, 0)
    assert {v.label for v in train} == {0, 1, 2}
    assert {v.label for v in validation} == {2}


def test_holding_out_nothing():
    sample = videos([[2] * 5] * 2)
    assert hold_out(sample, 0.0, 0) == (tuple(sample), ())


@pytest.mark.parametrize("sample", [videos([[4] * 25] * 10), videos([[1] * 8] * 5), films()])
def test_folds_are_disjoint_by_group_and_cover_all(sample):
    folds = group_folds(sample, 5, 0)
    assert len(folds) == 5
    assert sorted(i for _, validation in folds for i in validation) == list(range(len(sample)))
    for train, validation in folds:
        assert sorted(train + validation) == list(range(len(sample)))
        assert not {sample[i].group for i in train} & {sample[i].group for i in validation}
        assert len(validation) == pytest.approx(len(sample) / 5, rel=0.2)


def test_folds_are_balanced_over_classes():
    sample = videos([[2] * 12] * 4)
    for _, validation in group_folds(sample, 5, 3):
        assert all(4 <= count <= 6 for count in Counter(sample[i].label for i in validation).values())


def test_folds_are_deterministic():
    sample = films()
    assert group_folds(sample, 5, 0) == group_folds(sample, 5, 0) != group_folds(sample, 5, 1)


def test_fewer_groups_than_folds():
    sample = videos([[3], [2], [4]])
    folds = group_folds(sample, 5, 0)
    assert sorted(len(validation) for _, validation in folds) == [2, 3, 4]


def test_a_single_group():
    with pytest.raises(InputError, match="at least two groups"):
        group_folds(videos([[5]]), 5, 0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_real_groups_are_never_parted(assets, number):
    train = read_dataset("ucf101", assets / "ucf101", number).train
    fit, validation = hold_out(train, 0.1, 0)
    assert not {v.group for v in fit} & {v.group for v in validation}
    assert len({v.label for v in validation}) == 10
    assert 20 <= len(validation) <= 35


def test_held_out_groups_take_the_place_of_the_test_videos(tiny_ucf):
    official = read_dataset("ucf101", tiny_ucf, 1)
    split = without_test(official, 0.25)
    assert set(split.train) | set(split.test) == set(official.train) and split.test
    assert not {v.group for v in split.train} & {v.group for v in split.test}
    assert not set(split.test) & set(official.test)
    assert (split.missing_test, split.tested_on) == ((), HELD_OUT)
    assert split == without_test(official, 0.25)  # the same ones for all that is compared
    assert split.digest != official.digest != without_test(official, 0.5).digest
    unseen = replace(official, test=(), missing_test=("gone",))
    assert without_test(unseen, 0.25) == split and without_test(unseen, 0.25).digest == split.digest


def test_what_is_held_out_and_has_the_content_of_a_training_video_leaks():
    sources = [replace(v, path=Path(v.id), sha256=v.group) for v in videos([[1] * 5, [1] * 5])]
    split = without_test(DatasetSplit("x", 1, ("a", "b"), tuple(sources), ()), 0.4)
    assert not any(v.leaked for v in split.test)
    copies = tuple(replace(v, sha256=split.train[0].sha256) if v == split.test[0] else v for v in sources)
    again = without_test(DatasetSplit("x", 1, ("a", "b"), copies, ()), 0.4)
    assert [v.leaked for v in again.test] == [True] + [False] * (len(split.test) - 1)
    looked = DatasetSplit("x", 1, ("a", "b"), copies, (), near_duplicates=True)
    assert not without_test(looked, 0.4).near_duplicates  # not among training videos


def test_one_group_cannot_be_held_out():
    with pytest.raises(InputError, match=r"x, split 1, has too few groups of training videos to"):
        without_test(DatasetSplit("x", 1, ("a",), tuple(videos([[4]])), ()), 0.5)
