from __future__ import annotations

import shutil

import pytest

from i3d_lightning.datasets.hmdb51 import read_hmdb51
from i3d_lightning.errors import InputError

LISTS = {
    "run": {
        "Film_1_run_f_cm_np1_fr_med_0.avi": 1,
        "Film_2_run_f_cm_np1_fr_med_1.avi": 2,
        "x_run_u_nm_0.avi": 0,
    },
    "brush_hair": {"Film_1_brush_hair_u_nm_np1_ba_goo_0.avi": 1, "a_run_brush_hair_u_nm_np1_ba_goo_0.avi": 2},
}


@pytest.fixture
def make_root(tmp_path, touch):
    def make(videos="hmdb51_org", lists="testTrainMulti_7030_splits", absent=()):
        folder = tmp_path / lists
        folder.mkdir(parents=True, exist_ok=True)
        for name, marks in LISTS.items():
            lines = "".join(f"{file} {mark} \n" for file, mark in marks.items())
            (folder / f"{name}_test_split1.txt").write_text(lines)
            touch(tmp_path / videos / name, set(marks) - set(absent))
        return tmp_path

    return make


@pytest.mark.parametrize("videos", ["videos", "hmdb51_org", "."])
@pytest.mark.parametrize("lists", ["testTrainMulti_7030_splits", "splits", "."])
def test_layouts(make_root, videos, lists):
    root = make_root(videos, lists)
    split = read_hmdb51(root, 1)
    assert split.classes == ("brush_hair", "run")
    assert [(v.path.name, v.label, v.group) for v in split.train] == [
        ("Film_1_brush_hair_u_nm_np1_ba_goo_0.avi", 0, "Film_1"),
        ("Film_1_run_f_cm_np1_fr_med_0.avi", 1, "Film_1"),
    ]
    assert [v.group for v in split.test] == ["a_run", "Film_2"]
    assert all(v.path == root / videos / v.id for v in (*split.train, *split.test))


def test_absent_videos_are_counted(make_root):
    split = read_hmdb51(make_root(absent=["Film_2_run_f_cm_np1_fr_med_1.avi", "x_run_u_nm_0.avi"]), 1)
    assert split.missing_test == ("run/Film_2_run_f_cm_np1_fr_med_1.avi",)
    assert split.missing_train == ()


@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_the_official_lists(assets, tmp_path, touch, number):
    lists = assets / "hmdb51" / "splits"
    shutil.copytree(lists, tmp_path / "splits")
    ending = f"_test_split{number}.txt"
    for file in lists.glob(f"*{ending}"):
        names = [line.rsplit(maxsplit=1)[0] for line in file.read_text().splitlines()]
        touch(tmp_path / "videos" / file.name.removesuffix(ending), names)
    split = read_hmdb51(tmp_path, number)
    assert len(split.classes) == 51
    assert (len(split.train), len(split.test)) == (3570, 1530)
    assert all(sum(v.label == label for v in split.train) == 70 for label in range(51))
    assert len({v.id for v in (*split.train, *split.test)}) == 5100


def test_bad_roots(make_root, tmp_path):
    with pytest.raises(
        InputError, match=r"No HMDB-51 split files below .*testTrainMulti_7030_splits/\*_test_split"
    ):
        read_hmdb51(tmp_path, 1)
    root = make_root(absent=[name for marks in LISTS.values() for name in marks])
    with pytest.raises(InputError, match=r"No HMDB-51 videos below"):
        read_hmdb51(root, 1)


def test_a_split_that_is_not_there(make_root):
    with pytest.raises(InputError, match=r"no split 2 in .*choose one of \[1\]"):
        read_hmdb51(make_root(), 2)


def test_a_broken_list(make_root):
    root = make_root()
    (root / "testTrainMulti_7030_splits" / "run_test_split1.txt").write_text("video.avi 7\n")
    with pytest.raises(InputError, match=r"run_test_split1\.txt has the line 'video\.avi 7'"):
        read_hmdb51(root, 1)
