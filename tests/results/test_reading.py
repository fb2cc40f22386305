"""How the videos of runs could be read: fusion, comparison, and how many may be unreadable."""

from __future__ import annotations

import dataclasses

import pytest
from results.made import score, write_run

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.results.reading import Reading, check_share, too_many_unreadable
from i3d_lightning.results.runs import collect
from i3d_lightning.results.scores import Index, scores

RGB = {
    "unreadable": {"train": {"a": "empty"}, "test": {"v7": "empty"}},
    "partly_read": {"train": {}, "test": {"v8": "28 of 139 frames", "v9": "9 of 10 frames"}},
}
FLOW = {
    "unreadable": {"train": {}, "test": {"v7": "empty", "v8": "a single frame"}},
    "partly_read": {"train": {"a": "1 of 2 frames", "b": "1 of 2 frames"}, "test": {"v9": "9 of 10 frames"}},
}


def runs(root, **reading):
    for stream, told in reading.items():
        experiment = Experiment("i3d", stream, "kinetics", "full-ft", "ucf101")
        write_run(root, experiment, 6, reading=told)
    return collect(root)


def test_a_fusion_has_the_videos_of_both_streams_each_once(tmp_path):
    found = {s.stream: s.reading for s in scores(runs(tmp_path, rgb=RGB, flow=FLOW))}
    fused = found[FUSION]
    assert {part: list(videos) for part, videos in fused.unreadable.items()} == {
        "train": ["a"],
        "test": ["v7", "v8"],
    }
    assert {part: set(videos) for part, videos in fused.partly.items()} == {"train": {"b"}, "test": {"v9"}}
    assert fused.counts("unreadable") == {"train": 1, "test": 2}
    assert found["rgb"].counts("partly") == {"train": 0, "test": 2}


def test_of_a_result_of_an_earlier_version_nothing_is_known(tmp_path):
    (found,) = scores(runs(tmp_path, rgb={"unreadable": RGB["unreadable"], "partly_read": None}))
    assert found.reading.counts("partly") == {"train": 0, "test": 0}
    assert found.reading.counts("unreadable") == {"train": 1, "test": 1}
    assert not Reading.of({})


def test_over_seeds_the_most_counts_and_over_splits_the_sum():
    def of(split, seed, lost):
        reading = Reading({"test": dict.fromkeys("abcdef"[:lost], "empty")})
        return score("i3d", "rgb", "kinetics", "full-ft", "ucf101", 9, 10, split, seed, reading=reading)

    lost = {(1, 0): 1, (1, 1): 3, (2, 0): 2, (2, 1): 0, (3, 0): 0, (3, 1): 0}
    found = {s.splits: s for s in Index(of(*key, n) for key, n in lost.items())}
    assert {splits: s.most("unreadable", "test") for splits, s in found.items()} == {
        (1,): 3, (2,): 2, (3,): 0, (1, 2, 3): 5
    }  # fmt: skip
    assert found[1, 2, 3].most("partly", "train") == 0


def test_two_runs_that_read_other_frames_differ():
    one, other = Reading.of(RGB), Reading.of(FLOW)
    assert one.differently(other) == {"v8": ("28 of 139 frames", "nothing")}
    assert one.differently(one) == {}
    assert one.differently(Reading())["v7"] == ("nothing", "all of it")


def test_more_unreadable_videos_than_allowed_are_named_with_the_first_reason(tmp_path):
    """Of 12 test videos one, and of 40 training videos one: of each part the share counts."""
    found = runs(tmp_path, rgb=RGB)
    assert too_many_unreadable(found, 1 / 12) is None
    assert too_many_unreadable(found, 0.05) == (
        "1 of the 12 test videos of ucf101-1/i3d-rgb/kinetics/full-ft/seed0 (8.3 %) could not be read, where "
        "--max_unreadable allows 5 %: mend them and run it again with another --name, or allow more; the "
        "first is v7: empty"
    )
    said = too_many_unreadable(found, 0.0)
    assert said is not None
    assert "1 of the 40 training videos" in said
    assert "(likewise in 1 more)" in said
    (run,) = found
    old = {name: value for name, value in run.metrics.items() if name != "train_videos"}
    assert "40" not in str(too_many_unreadable([dataclasses.replace(run, metrics=old)], 0.0))


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(InputError, match=r"must be a share from 0 to 1, such as 0\.05 for 5 %"):
        check_share(share)
    check_share(0.0)
    check_share(1.0)
