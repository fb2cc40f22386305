from __future__ import annotations

import dataclasses

import pytest

from i3d_lightning.datasets import own
from i3d_lightning.datasets.registry import DATASETS, read_dataset
from i3d_lightning.errors import InputError


def test_a_demo_set_is_read_like_the_one_it_stands_for(tiny_ucf, monkeypatch):
    there = dataclasses.replace(DATASETS["demo-ucf101"], prepare=None)
    monkeypatch.setitem(DATASETS._known, there.name, there)
    real, demo = read_dataset("ucf101", tiny_ucf, 2), read_dataset("demo-ucf101", tiny_ucf.parent, 2)
    assert (real.name, demo.name) == ("ucf101", "demo-ucf101")
    assert demo.train == real.train
    assert demo.test == real.test


def test_an_unknown_name(tiny_ucf):
    with pytest.raises(InputError, match=r"Unknown data set 'ucf-101': did you mean 'ucf101'\?"):
        read_dataset("ucf-101", tiny_ucf, 1)


def test_videos_of_one_part_only(tmp_path, touch):
    touch(tmp_path / "clips", ["train/a/1.mp4", "test/a/readme.txt"])
    with pytest.raises(InputError, match=r"No test video of clips, split 1, is below"):
        read_dataset(own.add(tmp_path / "clips").name, None, 1)


def test_where_no_sources_are_known_it_is_said_and_each_video_is_alone(tmp_path, touch):
    """Tables then say that intervals are over videos."""
    assert not any(DATASETS[name].groups for name in ("ssv2", "imagenet", "demo-imagenet"))
    assert all(DATASETS[name].groups for name in ("ucf101", "hmdb51", "kinetics", "demo-ucf101"))
    for part in ("train", "test"):
        touch(tmp_path / part, ("a/one.avi", "a/two.avi"))
    made = own.add(tmp_path)
    assert not made.groups
    test = read_dataset(made.name, None, 1).test
    assert [video.group for video in test] == [video.id for video in test]
