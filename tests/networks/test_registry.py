"""Every architecture through the whole house: clips, training, test, stored weights, prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import SMALLEST, TINY, run_one

from i3d_lightning.datasets import own
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import ARCHITECTURES, paper
from i3d_lightning.networks.registry import check_clips
from i3d_lightning.networks.size import example_clips
from i3d_lightning.predict.predictor import Predictor
from i3d_lightning.recipe import FLOW_PRESETS, Training
from i3d_lightning.study.planner import WEIGHTS
from i3d_lightning.study.recipes import recipe_for
from i3d_lightning.study.workspace import Workspace

CLIPS = {
    "convnet-lstm": {"train_frames": 8, "snapshot": 2},
    "c3d": {"train_frames": 16},
    "two-stream": {"train_frames": 10, "snapshot": 10},
    "fused-3d": {"train_frames": 10, "snapshot": 10},
    "i3d": {"train_frames": 9},
}
CELLS = [(a, s) for a in CLIPS for s in ARCHITECTURES[a].streams]


@pytest.mark.parametrize(
    ("architecture", "stream"),
    [
        pytest.param(*cell, marks=[pytest.mark.slow] * (cell[0] == "fused-3d" and cell[1] != "joint"))
        for cell in CELLS
    ],
)
def test_trains_tests_and_predicts(architecture, stream, tiny_ucf, tmp_path):
    changes = {**TINY, "clips": {**TINY["clips"], "test_frames": 20, **CLIPS[architecture]}}
    experiment = Experiment(architecture, stream, "none", "origin", "ucf101")
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    done = run_one(experiment, space, root=tiny_ucf, changes=changes)
    assert done.metrics["videos"] == 8
    assert done.metrics["unreadable"]["test"] == {}
    predictor = Predictor(str(done.folder / WEIGHTS))
    video = next(tiny_ucf.rglob("v_Red*.avi"))
    (best, probability), *_ = predictor(video)
    assert best in ("Red", "Green", "Blue")
    assert 0 < probability <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "stream"), [(a, s) for a, s in CELLS if s != "flow"])
def test_real_clips_at_128_px(architecture, stream, assets, tmp_path):
    """Twenty clips of UCF-101, two classes, at a short side of 128 px: trained on, tested and predicted."""
    root = real_clips(assets, tmp_path / "videos", train=6, test=4)
    changes = real_changes(architecture)
    experiment = Experiment(architecture, stream, "none", "origin", own.add(root).name)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    done = run_one(experiment, space, root=root, changes=changes)
    assert done.metrics["videos"] == 8
    (best, _), *_ = Predictor(str(done.folder / WEIGHTS))(next((root / "test").rglob("*.avi")))
    assert best in ("Basketball", "PushUps")


def real_clips(assets: Path, root: Path, train: int, test: int) -> Path:
    """A folder data set of two classes of UCF-101, with so many videos of each to train and to test."""
    for name in ("Basketball", "PushUps"):
        for i, video in enumerate(sorted((assets / "ucf101").rglob(f"v_{name}_*.avi"))[: train + test]):
            link = root / ("train" if i < train else "test") / name / video.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(video)
    return root


def real_changes(architecture: str) -> dict:
    clips = {**CLIPS[architecture], "short_side": 128, "crop": 112, "test_frames": 40, "flip": True}
    if architecture == "i3d":
        clips["train_frames"] = 16
    return {
        "clips": clips,
        "flow": TINY["flow"],
        "training": {**TINY["training"], "batch_size": 4, "reference_batch": 4, "device_batch": 4},
    }


def test_every_row_of_table_1_has_its_clips():
    """Table 1: frames and seconds of training and test clips."""
    spec = {row.name: row.clips for row in paper()}
    seen = {
        name: (clips.train_frames // clips.snapshot, clips.test_frames // clips.snapshot, clips.test_frames)
        for name, clips in spec.items()
    }
    assert seen["convnet-lstm"] == (25, 50, 250)
    assert seen["c3d"] == (16, 240, 240)
    assert seen["two-stream"] == (1, 25, 250)
    assert seen["fused-3d"] == (5, 25, 250)
    assert seen["i3d"] == (64, 250, 250)
    assert (spec["c3d"].short_side, spec["c3d"].crop) == (128, 112)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if not a.library], ids=lambda a: a.name)
def test_another_crop_at_test_is_taken_or_refused(architecture):
    """By every network as it says, built for frames of 32 px and given 47."""
    least = {"train_frames": architecture.smallest[0], "test_frames": architecture.smallest[0]}
    clips = replace(architecture.clips, short_side=48, crop=32, **SMALLEST.get(architecture.name, least))
    with pytest.raises(InputError, match=rf"test_crop is 24, but {architecture.name} takes 32 or more"):
        check_clips(architecture, replace(clips, test_crop=24))
    check_clips(architecture, replace(clips, test_crop=32))
    tested = replace(clips, test_crop=47)
    if architecture.one_size:
        with pytest.raises(
            InputError, match=r"test_crop is 47, but c3d is built for one size, clips\.crop \(32"
        ):
            check_clips(architecture, tested)
        return
    check_clips(architecture, tested)
    for stream in architecture.streams:
        network = architecture.build(3, stream, clips, Training()).eval()
        with torch.inference_mode():
            logits = network(*example_clips(stream, replace(tested, crop=tested.test_side)))
        assert logits.shape[:2] == (1, 3)


def test_clips_that_are_no_whole_snapshots_are_refused():
    experiment = Experiment("two-stream", "rgb", "none", "origin", "ucf101")
    with pytest.raises(
        InputError, match=r"train_frames is 15, but must be a multiple of clips\.snapshot \(10\)"
    ):
        recipe_for(experiment, {"clips": {"train_frames": 15}})


@pytest.mark.parametrize("architecture", ["convnet", *CLIPS, *(a.name for a in ARCHITECTURES if a.library)])
def test_the_demo_recipe_fits_every_architecture(architecture):
    stream = ARCHITECTURES[architecture].streams[0]
    dataset = "demo-imagenet" if architecture == "convnet" else "demo-kinetics"
    recipe = recipe_for(Experiment(architecture, stream, "none", "origin", dataset), {})[0]
    assert recipe.clips.train_frames <= 20  # frames of a demo video


def test_the_network_of_images_sees_the_frames_of_a_demo_video():
    control = Experiment("convnet", "rgb", "imagenet", "fixed", "demo-ucf101")
    clips = recipe_for(control, {})[0].clips
    assert (clips.train_frames, clips.test_frames) == (1, 20)
    image = recipe_for(Experiment("convnet", "rgb", "none", "origin", "demo-imagenet"), {})[0].clips
    assert (image.train_frames, image.test_frames) == (1, 1)


@pytest.mark.slow
def test_flow_computed_in_training_trains_as_stored_flow_does(assets, tmp_path):
    """Ten clips of UCF-101 at a short side of 128 px, flow I3D: the same loss over the first 20 steps."""
    root = real_clips(assets, tmp_path / "videos", train=5, test=1)
    curves = {}
    for source in ("stored", "computed"):
        training = {
            **TINY["training"], "steps": 20, "validate_every": 1, "batch_size": 2, "reference_batch": 2,
            "validation_fraction": 0.0, "stages": [[15, 0.1]],
        }  # fmt: skip
        clips = {"short_side": 128, "crop": 112, "train_frames": 9, "test_frames": 9, "flip": True}
        experiment = Experiment("i3d", "flow", "none", "origin", own.add(root).name)
        space = Workspace(tmp_path / source, tmp_path / f"{source} cache")
        flow = {**vars(FLOW_PRESETS["fast"]), "source": source}
        done = run_one(
            experiment, space, root=root, changes={"clips": clips, "training": training, "flow": flow}
        )
        curves[source] = (
            pd.read_csv(done.folder / "curves/version_0/metrics.csv")["fit/loss"].dropna().to_numpy()
        )
    assert len(curves["stored"]) == 20
    np.testing.assert_allclose(curves["computed"], curves["stored"], rtol=0.02)
    assert not list((tmp_path / "computed cache").rglob("*.flow"))
