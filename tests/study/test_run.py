from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numbered import write
from tiny import TINY, centre_crop, plan_one, run_one, save_untrained

from i3d_lightning import ranks
from i3d_lightning.datasets import read_dataset
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.lease import LeaseLostError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.protocols.base import PROTOCOLS, Job, make_data, make_trainer, start_network
from i3d_lightning.recipe import Clips, Recipe, Training, compose, digest, merge
from i3d_lightning.study import run as study_run
from i3d_lightning.study.identity import features_identity
from i3d_lightning.study.planner import WEIGHTS
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.training import features, precision
from i3d_lightning.training.feature_store import FeatureStore
from i3d_lightning.training.streams import prepare
from i3d_lightning.video.decoding import read_video
from i3d_lightning.weights import apply_weights, load_weights

FIXED = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
ORIGIN = Experiment("i3d", "rgb", "none", "origin", "ucf101")


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    root = tmp_path_factory.mktemp("space")
    return Workspace(root / "runs", root / "cache")


@pytest.fixture(scope="module")
def pretrained(space) -> Path:
    """Weights that pass for Kinetics pretraining."""
    return save_untrained(space.runs.parent / "kinetics.safetensors")


@pytest.fixture(scope="module")
def fixed_run(tiny_ucf, space, pretrained):
    return run_one(FIXED, space, root=tiny_ucf, weights=pretrained)


def replaced(monkeypatch, protocol: str, run) -> None:
    """Another function in the place of a protocol's."""
    monkeypatch.setitem(PROTOCOLS._known, protocol, replace(PROTOCOLS[protocol], run=run))


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
    assert fixed_run.metrics["protocol"] == {"order": 1, "control": False, "trains_by_steps": False}
    assert fixed_run.metrics["weights_sha256"] == load_weights(str(fixed_run.folder / WEIGHTS)).sha256
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
    network = ARCHITECTURES["i3d"].build(3, "rgb", Clips(), Training()).eval()
    apply_weights(network, load_weights(str(fixed_run.folder / WEIGHTS)), classifier=True)
    predictions = fixed_run.predictions
    for video, expected in zip(
        read_dataset("ucf101", tiny_ucf, 1).test[:3], predictions.logits[:3], strict=True
    ):
        clip = centre_crop(read_video(video.path, fps=25.0, short_side=32, most=12), 32)[None]
        with torch.inference_mode():
            logits = network(prepare(clip, Clips())).mean(2)[0]
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-3)


def test_a_complete_run_is_not_run_again(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    replaced(monkeypatch, "fixed", lambda job: pytest.fail("it ran again"))
    again = run_one(FIXED, space, root=tiny_ucf, weights=pretrained)
    assert again.metrics == fixed_run.metrics


def test_another_setting_is_refused_and_named(fixed_run, tiny_ucf, space, pretrained):
    changes = merge(TINY, {"clips": {"test_frames": 10}})
    with pytest.raises(InputError, match=r"clips.test_frames was 12, now 10.*--name"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained, changes=changes)


def test_settings_that_fixed_does_not_use_do_not_matter_to_it(fixed_run, tiny_ucf, space, pretrained):
    changes = merge(TINY, {"training": {"steps": 1000, "learning_rate": 3.0}, "clips": {"flip": True}})
    again = run_one(FIXED, space, root=tiny_ucf, weights=pretrained, changes=changes)
    assert again.metrics == fixed_run.metrics


def test_another_result_version_of_code_is_another_run(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    newer = replace(ARCHITECTURES["i3d"], version=99)
    monkeypatch.setitem(ARCHITECTURES._known, "i3d", newer)
    with pytest.raises(InputError, match=r"network was i3d rgb, version \d+, now i3d rgb, version 99"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained)
    monkeypatch.undo()
    monkeypatch.setitem(PROTOCOLS._known, "fixed", replace(PROTOCOLS["fixed"], version=99))
    with pytest.raises(InputError, match=r"protocol was fixed, version \d+, now fixed, version 99"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained)


def on_this_machine(monkeypatch, chosen: str) -> None:
    real = precision.resolve
    monkeypatch.setattr(precision, "resolve", lambda word: chosen if word == "auto" else real(word))


def test_auto_is_settled_at_the_first_start_and_required_from_then_on(tiny_ucf, tmp_path, monkeypatch):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    changes = merge(TINY, {"training": {"precision": "auto"}})
    on_this_machine(monkeypatch, "float32")
    real = PROTOCOLS["origin"].run
    replaced(monkeypatch, "origin", lambda job: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_one(ORIGIN, space, root=tiny_ucf, changes=changes)
    stored = json.loads((space.folder(ORIGIN) / "fingerprint.json").read_text())
    assert stored["precision"] == "float32"

    replaced(monkeypatch, "origin", real)
    on_this_machine(monkeypatch, "bf16")  # another machine
    with pytest.raises(InputError, match="unfinished run in float32, but 'auto' is bf16 on this machine"):
        run_one(ORIGIN, space, root=tiny_ucf, changes=changes)
    said = merge(TINY, {"training": {"precision": "float32"}})
    done = run_one(ORIGIN, space, root=tiny_ucf, changes=said)
    assert run_one(ORIGIN, space, root=tiny_ucf, changes=changes).metrics == done.metrics  # complete
    with pytest.raises(InputError, match="precision was float32, now bf16"):
        run_one(ORIGIN, space, root=tiny_ucf, changes=merge(TINY, {"training": {"precision": "bf16"}}))


def test_features_depend_on_how_new_layers_begin_and_those_of_the_image_network_have_none(
    tiny_ucf, tmp_path, monkeypatch
):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    weights = save_untrained(tmp_path / "images.safetensors", "convnet", pretraining="imagenet")
    inflated = Experiment("i3d", "flow", "imagenet", "origin", "ucf101")
    control = Experiment("convnet", "rgb", "imagenet", "fixed", "ucf101")

    def key(experiment: Experiment, first_layer: str = "mean") -> str:
        changes = {"training": {"first_layer": first_layer}}
        planned = plan_one(experiment, space, root=tiny_ucf, weights=weights, changes=changes)
        cell = planned.cells[experiment]
        return digest(features_identity(experiment, cell.recipe, "sha256", cell.new_layers))

    assert len({key(inflated), key(inflated.at(1, 0)), key(inflated, "new")}) == 3
    assert len({key(control), key(control.at(1, 0)), key(control, "new")}) == 1

    changes = merge(TINY, {"clips": {"train_frames": 1}})
    done = run_one(control, space, root=tiny_ucf, weights=weights, changes=changes)
    assert done.metrics["protocol"]["control"]
    before, after = load_weights(str(weights)).state, load_weights(str(done.folder / WEIGHTS)).state
    assert all(torch.equal(t, after[name]) for name, t in before.items() if "classifier" not in name)
    monkeypatch.setattr(features, "FrozenStream", lambda *_: pytest.fail("a network was run"))
    run_one(control.at(1, 0), space, root=tiny_ucf, weights=weights, changes=changes)


def test_the_controls_feature_of_a_still_video_is_that_of_its_frame(tmp_path):
    """And of any video the mean of its frames' features, each by itself."""
    frames = list(np.random.default_rng(0).integers(0, 256, (6, 32, 40, 3), dtype=np.uint8))
    for name, shown in (("still", frames[:1] * 6), ("moving", frames)):
        write(tmp_path / f"{name}.mkv", shown, "ffv1", "bgr0", Fraction(25), None, {}, {})
    videos = [Video(f"{name}.mkv", tmp_path / f"{name}.mkv", 0, name) for name in ("still", "moving")]
    weights = load_weights(str(save_untrained(tmp_path / "w.safetensors", "convnet", pretraining="imagenet")))
    recipe = compose(Recipe(clips=ARCHITECTURES["convnet"].clips), TINY, {"clips": {"train_frames": 1}})
    data = DatasetSplit("made", 1, ("one",), tuple(videos), tuple(videos))
    job = Job(
        Experiment("convnet", "rgb", "imagenet", "fixed", "ucf101"),
        recipe, data, weights, tmp_path, tmp_path / "cache", {},
    )  # fmt: skip
    network = start_network(job)
    store = FeatureStore(tmp_path / "features", {})
    found = features.frozen_features(network, videos, make_data(job), store, make_trainer(job)).values

    images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[:, :, None]  # b c 1 h w
    with torch.inference_mode():
        shown = torch.stack([centre_crop(image, 32) for image in images])
        each = network.forward_features(prepare(shown, recipe.clips))[:, :, 0]
    torch.testing.assert_close(found[0], each[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], each.mean(0), rtol=1e-4, atol=1e-5)
    assert (found[0] - found[1]).norm() > 0.01 * found[0].norm()


def test_a_run_of_an_earlier_version_is_refused(tiny_ucf, tmp_path):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    space.folder(ORIGIN).mkdir(parents=True)
    (space.folder(ORIGIN) / "fingerprint.json").write_text(json.dumps({"clips": {}, "videos": "abc"}))
    with pytest.raises(InputError, match="earlier version"):
        run_one(ORIGIN, space, root=tiny_ucf)


def test_a_replaced_video_makes_another_run(tiny_ucf, tmp_path, pretrained):
    """Also one of equal size: its content counts."""
    root = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, root)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    run_one(FIXED, space, root=root, weights=pretrained)
    video = root / "UCF-101/Red/v_Red_g05_c01.avi"
    content = bytearray(video.read_bytes())
    content[-20] ^= 1
    video.unlink()
    video.write_bytes(content)
    with pytest.raises(InputError, match="data was"):
        run_one(FIXED, space, root=root, weights=pretrained)


def test_a_complete_run_reads_no_video(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    """It compares the manifest's digest: no video is opened, hashed or even looked at."""
    planned = plan_one(FIXED, space, root=tiny_ucf, weights=pretrained)
    real = Path.stat
    looked_at = []

    def stat(self, **given):
        looked_at.append(self)
        return real(self, **given)

    monkeypatch.setattr(Path, "stat", stat)
    for cell in planned.cells.values():
        study_run.run(cell, space)
    assert not [path for path in looked_at if path.suffix == ".avi"]


def test_features_are_shared_by_splits_and_computed_once(fixed_run, tiny_ucf, space, pretrained, monkeypatch):
    monkeypatch.setattr(features, "FrozenStream", lambda *_: pytest.fail("a network was run"))
    # Split 1's training and test videos are all there are but four that split 1 lacks.
    second = replace(FIXED, split=2, seed=1)
    assert run_one(second, space, root=tiny_ucf, weights=pretrained).metrics["videos"] == 12


def test_weights_of_another_stream_or_pretraining_are_refused(tiny_ucf, space, pretrained):
    flow = replace(FIXED, stream="flow")
    with pytest.raises(InputError, match="stream 'rgb'"):
        run_one(flow, space, root=tiny_ucf, weights=pretrained)
    with pytest.raises(InputError, match="pretraining 'kinetics'"):
        run_one(replace(FIXED, pretraining="imagenet+kinetics"), space, root=tiny_ucf, weights=pretrained)
    assert not (space.runs / flow.folder).exists()


def test_unreadable_videos_are_left_out_of_training_and_count_as_wrong_at_test(
    tiny_ucf, space, pretrained, tmp_path
):
    broken = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, broken)
    (broken / "UCF-101/Red/v_Red_g01_c01.avi").write_bytes(b"")  # test
    whole = (broken / "UCF-101/Red/v_Red_g05_c01.avi").read_bytes()
    (broken / "UCF-101/Red/v_Red_g05_c01.avi").write_bytes(whole[:200])  # training
    for experiment, weights in ((FIXED, pretrained), (ORIGIN, None)):
        place = Workspace(tmp_path / "runs", space.cache)
        done = run_one(experiment, place, root=broken, weights=weights)
        unreadable = done.metrics["unreadable"]
        assert list(unreadable["test"]) == ["Red/v_Red_g01_c01.avi"]
        assert list(unreadable["train"]) == ["Red/v_Red_g05_c01.avi"]
        assert done.metrics["videos"] == 8
        row = done.predictions.ids.index("Red/v_Red_g01_c01.avi")
        assert np.isnan(done.predictions.logits[row]).all()
        assert done.predictions.groups[row] == "Red/g01"
        assert not done.predictions.leaked.any()
        assert done.metrics["top5"] is None  # of two classes it says nothing


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({"precision": "16-mixed"}, "'precision' is not passed on to Lightning's Trainer: use --precision"),
        ({"logger": False}, "wandb"),
        ({"callbacks": []}, "the protocols own them, the checkpoint among them"),
        ({"limit_train_batches": 1}, "it may change what comes out"),
        ({"max_steps": 3}, "use --recipe.training.steps"),
        ({"devises": 2}, "Passed on are accelerator"),
    ],
)
def test_what_is_not_the_users_to_say_of_the_trainer_is_refused(trainer, sentence):
    with pytest.raises(InputError, match=sentence):
        Workspace(trainer=trainer)


def test_the_users_devices_and_progress_bar_are_passed_on(tiny_ucf, tmp_path):
    trainer = {"enable_progress_bar": False, "accelerator": "cpu", "devices": 1, "deterministic": True}
    space = Workspace(tmp_path / "runs", tmp_path / "cache", trainer=trainer)
    done = run_one(ORIGIN, space, root=tiny_ucf)
    assert not (done.folder / "last.ckpt").exists()
    assert done.metrics["metrics"]["steps"] == 4


def test_a_video_written_to_stops_a_run_on_stored_features(tiny_ucf, tmp_path, pretrained):
    root = tmp_path / "ucf101"
    shutil.copytree(tiny_ucf, root)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    run_one(FIXED, space, root=root, weights=pretrained)
    video = root / "UCF-101/Red/v_Red_g01_c01.avi"
    with video.open("r+b") as file:  # where it lies, so that its folder does not change
        file.seek(200)
        file.write(b"other")
    with pytest.raises(InputError, match=r"v_Red_g01_c01\.avi has changed"):
        run_one(replace(FIXED, seed=1), space, root=root, weights=pretrained)


def test_weights_trained_on_a_target_say_so(fixed_run, tiny_ucf, space):
    """Fine-tuned on split 1, they have seen test videos of the other splits."""
    weights = fixed_run.folder / WEIGHTS
    assert load_weights(str(weights)).pretraining == "kinetics+ucf101"
    with pytest.raises(InputError, match=r"pretraining 'kinetics\+ucf101', but"):
        run_one(replace(FIXED, split=2), space, root=tiny_ucf, weights=weights)


def test_other_flow_images_make_another_run(tiny_ucf, tmp_path):
    images = tmp_path / "flow"
    for video in tiny_ucf.rglob("*.avi"):
        (images / video.stem).mkdir(parents=True)
        for number, axis in itertools.product(range(1, 12), "xy"):
            field = np.random.default_rng(number).integers(100, 156, (32, 40), dtype=np.uint8)
            cv2.imwrite(str(images / video.stem / f"flow_{axis}_{number:05d}.jpg"), field)
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    weights = save_untrained(tmp_path / "flow.safetensors", stream="flow")
    changes = merge(TINY, {"flow": {"source": str(images)}})
    experiment = replace(FIXED, stream="flow")
    run_one(experiment, space, root=tiny_ucf, weights=weights, changes=changes)
    one = next(images.rglob("flow_x_00003.jpg"))
    cv2.imwrite(str(one), np.full((32, 40), 200, np.uint8))
    with pytest.raises(InputError, match=r"flow\.source was"):
        run_one(experiment, space, root=tiny_ucf, weights=weights, changes=changes)


def test_who_runs_there_with_other_settings_is_not_waited_for(fixed_run, tiny_ucf, tmp_path, pretrained):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    folder = space.folder(FIXED)
    folder.mkdir(parents=True)
    shutil.copy(fixed_run.folder / "fingerprint.json", folder)
    about = {"host": "elsewhere", "space": "0", "number": 7, "started": 1, "since": "noon", "what": ""}
    (folder / ".lease.1").write_text(json.dumps(about))
    changes = merge(TINY, {"clips": {"test_frames": 10}})
    with pytest.raises(InputError, match=r"process 7 on elsewhere since noon .*test_frames was 12, now 10"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained, changes=changes)
    assert {path.name for path in folder.iterdir()} == {".lease.1", "fingerprint.json"}


def test_a_result_of_another_fingerprint_is_no_result(fixed_run, tiny_ucf, tmp_path, pretrained):
    """As two at once left it: the fingerprint of one, and the number of the other."""
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    shutil.copytree(fixed_run.folder, space.folder(FIXED))
    stored = space.folder(FIXED) / "fingerprint.json"
    stored.write_text(stored.read_text().replace('"test_frames": 12', '"test_frames": 10'))
    changes = merge(TINY, {"clips": {"test_frames": 10}})
    with pytest.raises(InputError, match=r"fingerprint\.json is missing or damaged: delete"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained, changes=changes)


@pytest.mark.parametrize(
    "broken",
    ["a row too few", "another label", "another group", "a row that nobody lost", "infinite"],
)
def test_a_result_that_does_not_account_for_every_video_is_not_stored(
    tiny_ucf, tmp_path, pretrained, monkeypatch, broken
):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    real = PROTOCOLS["fixed"].run

    def run(job):
        outcome = real(job)
        p = outcome.predictions
        p = replace(p, labels=p.labels.copy())
        if broken == "a row too few":
            p = p.ordered(p.ids[1:])
        elif broken == "another label":
            p.labels[0] = (p.labels[0] + 1) % 3
        elif broken == "another group":
            p = replace(p, groups=("elsewhere", *p.groups[1:]))
        else:
            lost = np.nan if broken == "a row that nobody lost" else np.inf
            p = replace(p, logits=np.where(np.arange(len(p.ids))[:, None] == 0, lost, p.logits))
        return replace(outcome, predictions=p)

    replaced(monkeypatch, "fixed", run)
    with pytest.raises(InputError, match=r"is not complete: |are not finite"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained)
    assert not (space.folder(FIXED) / "result.json").exists()
    assert not list(space.folder(FIXED).glob(".*"))


def test_the_number_of_processes_is_settled_at_the_first_start(tiny_ucf, tmp_path, monkeypatch):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    real = PROTOCOLS["origin"].run
    with monkeypatch.context() as by_two:
        by_two.setattr(ranks, "size", lambda: 2)
        replaced(by_two, "origin", lambda job: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_one(ORIGIN, space, root=tiny_ucf)
    replaced(monkeypatch, "origin", real)
    with pytest.raises(InputError, match=r"unfinished run by 2 processes.*now there are 1.*devices: 2"):
        run_one(ORIGIN, space, root=tiny_ucf)
    shutil.rmtree(space.folder(ORIGIN))
    done = run_one(ORIGIN, space, root=tiny_ucf)
    monkeypatch.setattr(ranks, "size", lambda: 2)
    assert run_one(ORIGIN, space, root=tiny_ucf).metrics == done.metrics  # to read it needs no two


@pytest.mark.parametrize("place", ["a file", "a link to nowhere"])
def test_a_run_folder_that_cannot_be_is_one_sentence(tiny_ucf, tmp_path, place):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    folder = space.folder(ORIGIN)
    folder.parent.mkdir(parents=True)
    folder.write_text("") if place == "a file" else folder.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"^Cannot write .*seed0: .*; choose another folder\.$"):
        run_one(ORIGIN, space, root=tiny_ucf)


def test_who_was_overtaken_stores_nothing(tiny_ucf, tmp_path, pretrained, monkeypatch):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    folder, real = space.folder(FIXED), PROTOCOLS["fixed"].run

    def run(job):
        outcome = real(job)
        (folder / ".lease.1").rename(folder / ".lease.2")  # as another that took over leaves things
        return outcome

    replaced(monkeypatch, "fixed", run)
    with pytest.raises(LeaseLostError, match=r"seed0 was taken over by process .*: nothing more is written"):
        run_one(FIXED, space, root=tiny_ucf, weights=pretrained)
    kept = {path.name for path in folder.iterdir()}
    assert kept & {"predictions.npz", "result.json", WEIGHTS} == set()
    assert ".lease.2" in kept


def test_weights_that_changed_since_a_cell_was_planned_are_refused(tiny_ucf, tmp_path):
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    weights = save_untrained(tmp_path / "weights.safetensors")
    (cell,) = plan_one(FIXED, space, root=tiny_ucf, weights=weights).cells.values()
    save_untrained(weights, pretraining="imagenet")
    with pytest.raises(InputError, match=r"weights\.safetensors has changed"):
        study_run.run(cell, space)


def test_the_seed_is_part_of_what_a_run_is(tiny_ucf, tmp_path, fixed_run, space, pretrained):
    """A folder copied to the place of another seed is not gone on with."""
    other = replace(FIXED, seed=7)
    place = Workspace(tmp_path / "runs", space.cache)
    place.folder(other).mkdir(parents=True)
    shutil.copy(fixed_run.folder / "fingerprint.json", place.folder(other))
    with pytest.raises(InputError, match=r"experiment\.seed was 0, now 7"):
        run_one(other, place, root=tiny_ucf, weights=pretrained)


def test_what_is_not_as_one_would_think_is_said(tiny_ucf, tmp_path, caplog):
    """Of 7 clips 6 do not fit: they are taken singly; 14 updates leave old statistics; videos are short."""
    seven = {"batch_size": 7, "reference_batch": 7, "device_batch": 6, "steps": 2, "stages": [[1, 0.1]]}
    origin = Experiment("i3d", "rgb", "none", "origin", "ucf101")
    run_one(
        origin,
        Workspace(tmp_path / "runs", tmp_path / "cache"),
        root=tiny_ucf,
        changes=merge(TINY, {"training": seven, "clips": {"train_frames": 17, "test_frames": 17}}),
    )
    assert "8 of 8 videos are shorter than a clip of 17 frames at 25 a second and are looped" in caplog.text
    assert "BatchNorm takes 1 clips together where it could take 6, as the 7 that a device has" in caplog.text
    assert "statistics are updated 14 times, and 23 % of them stays from before" in caplog.text
