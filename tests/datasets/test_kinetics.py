from __future__ import annotations

import pytest

from i3d_lightning.datasets.kinetics import read_kinetics
from i3d_lightning.datasets.registry import DATASETS, read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.study.cells import pretraining_of

HEADER = "label,youtube_id,time_start,time_end,split\n"
ROWS = {
    "train": 'abseiling,aaaaaaaaaaa,0,10,train\n"playing ""air"" guitar",--bbbbbbbb_,3,13,train\n',
    "validate": "abseiling,ccccccccccc,109,119,validate\nzumba,ddddddddddd,0,10,validate\n",
    "test": "zumba,eeeeeeeeeee,1,11,test\n",
}


@pytest.fixture
def make_root(tmp_path, touch):
    def make(*videos: str, lists: dict[str, str] | None = None):
        for name, rows in (lists or {f"{part}.csv": rows for part, rows in ROWS.items()}).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(HEADER + rows)
        touch(tmp_path, videos)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("train", "guitar", "validate"),
    [
        ("train/abseiling/aaaaaaaaaaa_000000_000010.mp4",
         'train/playing "air" guitar/--bbbbbbbb__000003_000013.mp4',
         "validate/abseiling/ccccccccccc_000109_000119.mp4"),
        ("train/abseiling/aaaaaaaaaaa.mp4", "train/playing_air_guitar/--bbbbbbbb_.webm",
         "val/abseiling/ccccccccccc_000109_000119.mkv"),
        ("aaaaaaaaaaa.mp4", "videos/--bbbbbbbb_.mp4", "ccccccccccc.mp4"),
    ],
)  # fmt: skip
def test_layouts(make_root, train, guitar, validate):
    root = make_root(train, guitar, validate)
    split = read_kinetics(root, 1)
    assert split.classes == ("abseiling", 'playing "air" guitar', "zumba")
    assert [(v.id, v.path, v.label, v.group) for v in split.train] == [
        ("aaaaaaaaaaa_000000_000010", root / train, 0, "aaaaaaaaaaa"),
        ("--bbbbbbbb__000003_000013", root / guitar, 1, "--bbbbbbbb_"),
    ]
    assert [v.path for v in split.test] == [root / validate]
    assert split.missing_test == ("ddddddddddd_000000_000010",)
    assert split.tested_on == "validate"


def test_tests_on_the_test_set_where_it_is_there(make_root):
    split = read_kinetics(make_root("aaaaaaaaaaa.mp4", "ccccccccccc.mp4", "eeeeeeeeeee.mp4"), 1)
    assert (split.tested_on, [v.group for v in split.test]) == ("test", ["eeeeeeeeeee"])
    assert split.missing_train == ("--bbbbbbbb__000003_000013",)


def test_other_names_of_lists_and_unlabelled_rows(make_root):
    lists = {
        "annotations/train.csv": ROWS["train"],
        "annotations/val.csv": ROWS["validate"],
        "annotations/test.csv": ",eeeeeeeeeee,1,11,test\n",
    }
    split = read_kinetics(make_root("aaaaaaaaaaa.mp4", "ccccccccccc.mp4", "eeeeeeeeeee.mp4", lists=lists), 1)
    assert split.tested_on == "validate"
    assert [v.group for v in split.test] == ["ccccccccccc"]


def test_bad_input(make_root, tmp_path):
    with pytest.raises(InputError, match=r"No Kinetics training list below .*: looked for train\.csv"):
        read_kinetics(tmp_path, 1)
    root = make_root("aaaaaaaaaaa.mp4")
    with pytest.raises(InputError, match=r"no split 2"):
        read_kinetics(root, 2)
    (root / "train.csv").write_text("name,id\nabseiling,aaaaaaaaaaa\n")
    with pytest.raises(
        InputError, match=r"train\.csv lacks the column label, time_end, time_start, youtube_id"
    ):
        read_kinetics(root, 1)


@pytest.mark.parametrize("name", ["kinetics600", "kinetics700", "kinetics700-2020"])
def test_later_releases_have_the_same_lists_and_teach_something_else(make_root, name):
    root = make_root("aaaaaaaaaaa.mp4", "ccccccccccc.mp4", "eeeeeeeeeee.mp4")
    split = read_dataset(name, root, 1)
    assert (split.name, split.classes[0], [v.id[:4] for v in split.test]) == (name, "abseiling", ["eeee"])
    before = Experiment("i3d", "rgb", "none", "origin", name)
    assert pretraining_of(Experiment("i3d", "rgb", name, "full-ft", "ucf101")) == before
    assert DATASETS[name].recipe_for(before) == DATASETS["kinetics"].recipe_for(before)
