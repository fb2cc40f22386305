"""Lists in the form of Something-Something v2's; the sentences are made up."""

from __future__ import annotations

import json

import pytest

from i3d_lightning.datasets.registry import DATASETS, read_dataset
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment

LABELS = {"Pushing something from left to right": "1", "Holding something": "0", "Moving something up": "2"}
TRAIN = [
    {"id": "78687", "label": "holding potato", "template": "Holding [something]", "placeholders": ["potato"]},
    {"id": "42326", "label": "pushing a cup from left to right",
     "template": "Pushing [something] from left to right", "placeholders": ["a cup"]},
    {"id": "100904", "label": "moving a pen up", "template": "Moving [something] up", "placeholders": []},
]  # fmt: skip
VALIDATION = [
    {"id": "74225", "label": "moving a book up", "template": "Moving [something] up", "placeholders": []},
    {"id": "116154", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]},
]  # fmt: skip
VIDEOS = [f"20bn-something-something-v2/{n}.webm" for n in (78687, 42326, 74225, 116154)]


@pytest.fixture
def root(tmp_path, touch):
    for part, content in (("train", TRAIN), ("validation", VALIDATION), ("labels", LABELS)):
        (tmp_path / f"something-something-v2-{part}.json").write_text(json.dumps(content))
    touch(tmp_path, VIDEOS)
    return tmp_path


def test_the_official_lists(root):
    split = read_dataset("ssv2", root, 1)
    assert split.classes == (
        "Holding something",
        "Pushing something from left to right",
        "Moving something up",
    )
    assert [(v.id, v.label, v.group, v.path) for v in split.train] == [
        ("78687", 0, "78687", root / VIDEOS[0]),
        ("42326", 1, "42326", root / VIDEOS[1]),
    ]
    assert [(v.id, v.label) for v in split.test] == [("74225", 2), ("116154", 0)]
    assert (split.tested_on, split.missing_train) == ("validate", ("100904",))


def test_lists_in_a_folder_of_their_own(root):
    expected = read_dataset("ssv2", root, 1)
    (root / "labels").mkdir()
    for part in ("train", "validation", "labels"):
        (root / f"something-something-v2-{part}.json").rename(root / "labels" / f"{part}.json")
    assert read_dataset("ssv2", root, 1) == expected


def test_nothing_is_mirrored_and_no_groups_are_known():
    known = DATASETS["ssv2"]
    assert known.recipe_for(Experiment("i3d", "rgb", "none", "origin", "ssv2")) == {"clips": {"flip": False}}
    assert not known.groups


@pytest.mark.parametrize(
    ("part", "content", "sentence"),
    [
        ("train", "[{", "no JSON list"),
        ("train", '{"id": 1}', "entry without id and template|is no list"),
        ("train", '[{"id": "1"}]', "entry without id and template"),
        ("train", '[{"id": "../1", "template": "Holding [something]"}]', "entry without id and template"),
        ("validation", '[{"id": "1", "template": "Eating [something]"}]', "template 'Eating .* labels lack"),
        ("labels", "[]", "are no names with numbers"),
        ("labels", '{"a": "0", "b": "2"}', "are not numbered from 0"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_one_sentence(root, part, content, sentence):
    (root / f"something-something-v2-{part}.json").write_text(content)
    with pytest.raises(InputError, match=sentence) as error:
        read_dataset("ssv2", root, 1)
    assert "\n" not in str(error.value)


def test_a_missing_list_is_named(root):
    (root / "something-something-v2-validation.json").unlink()
    with pytest.raises(InputError, match=r"lacks something-something-v2-validation\.json"):
        read_dataset("ssv2", root, 1)
