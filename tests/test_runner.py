from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, centre_crop, recipe_flags

from i3d_lightning import plan, runner
from i3d_lightning.plan import Experiment, InputError
from i3d_lightning.runner import WEIGHTS, Workspace, run
from i3d_lightning.weights import load_weights


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    root = tmp_path_factory.mktemp("space")
    return Workspace(root / "runs", root / "cache")


@pytest.fixture(scope="module")
def pretrained(tiny_ucf, space) -> Path:
    """Weights that pass for Kinetics pretraining."""
    from i3d_lightning import architectures
    from i3d_lightning.plan import Clips, Training
    from i3d_lightning.weights import save_weights

    torch.manual_seed(0)
    network = architectures.spec("i3d").network(5, "rgb", Training(), Clips())
    path = space.runs.parent / "kinetics.safetensors"
    labels = tuple(f"class {i}" for i in range(5))
    save_weights(
        path,
        network,
        architecture="i3d",
        stream="rgb",
        pretraining="kinetics",
        labels=labels,
        clips=plan.Clips(),
    )
    return path


@pytest.fixture(scope="module")
def fixed_run(tiny_ucf, space, pretrained):
    return run(
        Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101"),
        space,
        root=tiny_ucf,
        weights=str(pretrained),
        changes=TINY,
    )


def test_a_complete_run_holds_everything(fixed_run, space):
    kept = {p.name for p in fixed_run.folder.iterdir()}
    assert kept >= {
        "config.yaml",
        "environment.json",
        "fingerprint.json",
        "predictions.npz",
        "result.json",
        WEIGHTS,
    }
    assert fixed_run.folder == space.runs / "ucf101-1/i3d-rgb/kinetics/fixed/seed0"
    assert fixed_run.metrics["videos"] == 8
    assert fixed_run.metrics["peak_memory"] > 1e8
    assert fixed_run.metrics["missing"] == {"train": 0, "test": 4}
    assert fixed_run.predictions.accuracy() == fixed_run.metrics["top1"]
    assert not list(fixed_run.folder.glob(".*"))


def test_fixed_leaves_the_backbone_bit_identical_and_changes_the_classifier(fixed_run, pretrained):
    before, after = load_weights(str(pretrained)).state, load_weights(str(fixed_run.folder / WEIGHTS)).state
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if name.startswith("classifier."):
            assert after[name].shape[0] == 3
        else:
            assert torch.equal(tensor, after[name]), name


def test_the_stored_weights_give_the_stored_predictions(fixed_run, tiny_ucf):
    """So the fitted layer is in the network, scaling folded in, and not only in the table."""
    from i3d_lightning import architectures
    from i3d_lightning.datasets.lists import read_dataset
    from i3d_lightning.plan import Clips, Training
    from i3d_lightning.streams import prepare
    from i3d_lightning.video.decoding import read_video
    from i3d_lightning.weights import apply_weights

    network = architectures.spec("i3d").network(3, "rgb", Training(), Clips()).eval()
    apply_weights(network, load_weights(str(fixed_run.folder / WEIGHTS)), classifier=True)
    predictions = fixed_run.predictions
    for video, expected in zip(
        read_dataset("ucf101", tiny_ucf, 1).test[:3], predictions.logits[:3], strict=True
    ):
        clip = centre_crop(read_video(video.path, fps=25.0, short_side=32, most=12), 32)[None]
        with torch.inference_mode():
            logits = network(prepare(clip)).mean(2)[0]
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-3)


def test_a_complete_run_is_not_run_again(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    monkeypatch.setitem(runner.PROTOCOLS, "fixed", lambda job: pytest.fail("it ran again"))
    again = run(
        fixed_run.experiment,
        space,
        root=tiny_ucf,
        weights=str(pretrained),
        changes=TINY,
    )
    assert again.metrics == fixed_run.metrics


def test_another_setting_is_refused_and_named(fixed_run, tiny_ucf, space, pretrained):
    changes = plan.plain(TINY) | {"clips": TINY["clips"] | {"test_frames": 10}}
    with pytest.raises(InputError, match=r"clips.test_frames was 12, now 10.*--name"):
        run(fixed_run.experiment, space, root=tiny_ucf, weights=str(pretrained), changes=changes)


def test_settings_that_fixed_does_not_use_do_not_matter_to_it(fixed_run, tiny_ucf, space, pretrained):
    changes = TINY | {"training": TINY["training"] | {"steps": 1000, "learning_rate": 3.0}}
    again = run(fixed_run.experiment, space, root=tiny_ucf, weights=str(pretrained), changes=changes)
    assert again.metrics == fixed_run.metrics


def test_features_are_shared_by_splits_and_computed_once(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    import i3d_lightning.features as features

    monkeypatch.setattr(features, "FrozenStream", lambda *_: pytest.fail("a network was run"))
    # Split 1's training and test videos are all there are but four that split 1 lacks.
    second = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101", split=2, seed=1)
    done = run(second, space, root=tiny_ucf, weights=str(pretrained), changes=TINY)
    assert done.metrics["videos"] == 12


def test_weights_of_another_stream_or_pretraining_are_refused(tiny_ucf, space, pretrained):
    flow = Experiment("i3d", "flow", "kinetics", "fixed", "ucf101")
    with pytest.raises(InputError, match="stream 'rgb'"):
        run(flow, space, root=tiny_ucf, weights=str(pretrained), changes=TINY)
    imagenet = Experiment("i3d", "rgb", "imagenet+kinetics", "fixed", "ucf101")
    with pytest.raises(InputError, match="pretraining 'kinetics'"):
        run(imagenet, space, root=tiny_ucf, weights=str(pretrained), changes=TINY)
    assert not (space.runs / flow.folder).exists()


def test_unreadable_videos_are_left_out_of_training_and_count_as_wrong_at_test(
    tiny_ucf, space, pretrained, tmp_path
):
    import shutil

    broken = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, broken)
    (broken / "UCF-101/Red/v_Red_g01_c01.avi").write_bytes(b"")  # test
    whole = (broken / "UCF-101/Red/v_Red_g05_c01.avi").read_bytes()
    (broken / "UCF-101/Red/v_Red_g05_c01.avi").write_bytes(whole[:200])  # training
    for protocol, pretraining, weights in (("fixed", "kinetics", str(pretrained)), ("origin", "none", None)):
        experiment = Experiment("i3d", "rgb", pretraining, protocol, "ucf101")
        place = Workspace(tmp_path / "runs", space.cache)
        done = run(experiment, place, root=broken, weights=weights, changes=TINY)
        unreadable = done.metrics["unreadable"]
        assert list(unreadable["test"]) == ["Red/v_Red_g01_c01.avi"]
        assert list(unreadable["train"]) == ["Red/v_Red_g05_c01.avi"]
        assert done.metrics["videos"] == 8
        row = done.predictions.ids.index("Red/v_Red_g01_c01.avi")
        assert np.isnan(done.predictions.logits[row]).all()
        assert done.metrics["top5"] == pytest.approx(100 * 7 / 8)


def test_steps_must_end_with_a_validation(tiny_ucf, tmp_path):
    changes = TINY | {"training": TINY["training"] | {"steps": 5}}
    experiment = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    with pytest.raises(InputError, match="multiple of training"):
        run(experiment, Workspace(tmp_path / "runs", tmp_path / "cache"), root=tiny_ucf, changes=changes)


def command(root: Path, runs: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "i3d_lightning", "experiment", "--protocol=origin", "--dataset=ucf101",
        "--stream=rgb", f"--root={root}", f"--runs={runs}", f"--cache={runs / 'cache'}", *recipe_flags(),
        "--recipe.training.steps=12",
        "--json", *more,
    ]  # fmt: skip


def test_a_run_killed_in_mid_training_resumes_and_equals_an_undisturbed_one(tiny_ucf, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = subprocess.run(command(tiny_ucf, whole), capture_output=True, text=True, check=True)

    folder = killed / Experiment("i3d", "rgb", "none", "origin", "ucf101").folder
    process = subprocess.Popen(
        command(tiny_ucf, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (folder / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "last.ckpt").exists()
    assert not (folder / "result.json").exists()

    resumed = subprocess.run(command(tiny_ucf, killed), capture_output=True, text=True, check=True)
    assert "Resuming" in resumed.stderr
    assert resumed.stdout.splitlines()[-1] == undisturbed.stdout.splitlines()[-1]
    same = [json.loads((r / folder.relative_to(killed) / "result.json").read_text()) for r in (whole, killed)]
    assert same[0]["metrics"] == same[1]["metrics"]
    ours, theirs = (
        load_weights(str(r / folder.relative_to(killed) / WEIGHTS)).state for r in (whole, killed)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
