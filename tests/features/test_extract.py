"""A folder of features: of one kind, filled by whoever comes, and whole whatever happens."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from features.small import CLIPS, SETTINGS, distance, naive_rgb, save, video_of
from torch import nn

from i3d_lightning.cli.main import main
from i3d_lightning.datasets.clips import RGBFrames, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.features import Extracted, extract_features, job
from i3d_lightning.features import progress as progress_
from i3d_lightning.features import windows as windows_
from i3d_lightning.features.streams import FeatureStream
from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks.adapter import AdaptedNetwork
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Clips, Training
from i3d_lightning.training.streams import prepare
from i3d_lightning.video import file as file_
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.file import VideoFile
from i3d_lightning.weights import create_model, save_weights

ROOT = Path(__file__).parents[2]


class Colours(VideoNetwork):
    """Its features are the mean red, green and blue of its input, frame by frame."""

    feature_size = 3

    def __init__(self, classes: int) -> None:
        super().__init__(dropout=0.0)
        self.scale = nn.Parameter(torch.ones(()))
        self.reset_classifier(classes)

    def forward_features(self, *clips: torch.Tensor) -> torch.Tensor:
        return self.scale * clips[0].mean((3, 4))


@pytest.fixture
def colours(tmp_path, monkeypatch) -> str:
    """Weights of the network above, which is quick."""
    monkeypatch.setattr(ARCHITECTURES, "_known", dict(ARCHITECTURES._known))
    ARCHITECTURES.register(
        Architecture("colours", "Colours", lambda classes, *_: Colours(classes), CLIPS, smallest=(2, 8))
    )
    said = {"stream": "rgb", "pretraining": None, "labels": None, "clips": CLIPS}
    save_weights(tmp_path / "colours", Colours(3), architecture="colours", **said)
    return str(tmp_path / "colours")


@pytest.fixture(scope="module")
def rgb(tmp_path_factory) -> str:
    return str(save(tmp_path_factory.mktemp("weights") / "rgb", "rgb"))


@pytest.fixture
def videos(tmp_path) -> Path:
    """Four videos of 20 frames."""
    for number in range(4):
        video_of(tmp_path / f"videos/class{number % 2}/v{number}.avi", 20, seed=number)
    return tmp_path / "videos"


def go(videos: Path, weights: str, folder: str = "features", **more: object) -> Extracted:
    """Extract windows of 4 frames every other one: 9 of 20 frames."""
    given = {"weights": weights, "clip": 4, "step": 2, **more}
    return extract_features(videos, videos.parent / folder, **given)


def counted(done: Extracted) -> tuple[int, int, list[str]]:
    return done.computed, done.there, sorted(done.missing)


def test_features_are_means_of_what_the_windows_see_whatever_is_read_together(videos, colours, monkeypatch):
    monkeypatch.setattr(windows_, "STRETCH", 7)
    assert counted(go(videos, colours)) == (4, 0, [])
    found = np.load(videos.parent / "features/class1/v3.npy")
    monkeypatch.setattr(windows_, "STRETCH", 512)
    monkeypatch.setitem(job.AT_ONCE, "cpu", 4)
    go(videos, colours, "others")
    np.testing.assert_allclose(found, np.load(videos.parent / "others/class1/v3.npy"), rtol=1e-6)
    frames = read_clip(videos / "class1/v3.avi", 0, 20, fps=25.0, short_side=32)[..., 4:36]
    means = frames.double().mean((2, 3)) / 127.5 - 1
    expected = [means[:, i * 2 : i * 2 + 4].mean(1).numpy() for i in range(9)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32


def test_shared_frames_give_what_each_window_by_itself_gives(tmp_path, rgb, monkeypatch):
    """To a relative 1e-5, of I3D on windows that overlap and are read in stretches that cut them."""
    monkeypatch.setattr(windows_, "STRETCH", 13)
    video = video_of(tmp_path / "v.avi", 40)
    extract_features(video, tmp_path / "features", weights=rgb, clip=10, step=3)
    found = np.load(tmp_path / "features/v.npy")
    assert found.shape == (11, 1024)
    assert distance(found, naive_rgb(video, rgb, 10, 3, 11)) < 1e-5


def test_what_is_whole_stays_and_what_is_damaged_is_computed_again(videos, colours):
    go(videos, colours)
    files = sorted((videos.parent / "features").rglob("*.npy"))
    whole = [file.read_bytes() for file in files]
    times = [file.stat().st_mtime_ns for file in files]
    files[0].write_bytes(whole[0][:-4])
    np.save(files[1], np.zeros((8, 3), np.float32))  # whole, but of another video
    np.save(files[2], np.zeros((9, 3)))
    assert counted(go(videos, colours)) == (3, 1, [])
    assert [file.read_bytes() for file in files] == whole
    assert files[3].stat().st_mtime_ns == times[3]
    assert counted(go(videos, colours)) == (0, 4, [])


def test_damage_that_leaves_the_size_is_noticed_too(videos, colours, caplog):
    go(videos, colours)
    file = videos.parent / "features/class0/v0.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-40] + bytes(40))
    assert counted(go(videos, colours)) == (1, 3, [])
    assert file.read_bytes() == whole
    assert "class0/v0.npy is damaged: its features are computed anew" in caplog.text


def test_another_video_is_not_taken_for_one_whose_features_are_there(videos, colours):
    """Of one length or of another, whether it can be read or not; a copy of it is taken for it."""
    video, other = videos / "class0/v0.avi", videos / "class1/v1.avi"
    folder, given = videos.parent / "features", {"weights": colours, "clip": 4, "step": 2}
    extract_features(video, folder, **given)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    elsewhere = videos / "elsewhere/v0.avi"
    elsewhere.parent.mkdir()
    for content in (other.read_bytes(), video_of(videos / "long.avi", 25).read_bytes(), b"no video"):
        elsewhere.write_bytes(content)
        with pytest.raises(InputError, match=f"v0.npy has the features of {video}, of which {elsewhere} is"):
            extract_features(elsewhere, folder, **given)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    elsewhere.write_bytes(video.read_bytes())
    assert extract_features(elsewhere, folder, **given).there == 1


def test_a_video_whose_content_changed_is_computed_anew(videos, colours, caplog):
    video, file = videos / "class0/v0.avi", videos.parent / "features/class0/v0.npy"
    go(videos, colours)
    video.write_bytes((videos / "class1/v1.avi").read_bytes())  # of the same length
    assert counted(go(videos, colours)) == (1, 3, [])
    assert file.read_bytes() == (videos.parent / "features/class1/v1.npy").read_bytes()
    assert f"{video} has another content than {file} is of: its features are computed anew" in caplog.text


def test_videos_that_nobody_touched_are_not_read_again(videos, colours, monkeypatch):
    """Those that were touched are once, even if they have kept their content."""
    go(videos, colours)
    (videos / "class0/v0.avi").touch()
    real, read = file_.file_sha256, []
    monkeypatch.setattr(file_, "file_sha256", lambda path: (read.append(path.name), real(path))[1])
    for _ in range(2):
        assert counted(go(videos, colours)) == (0, 4, [])
    assert read == ["v0.avi"]


def test_a_video_has_its_features_or_is_listed_and_never_both(videos, colours):
    """What changed and cannot be read has none; what is gone has those of what it was."""
    folder = videos.parent / "features"
    go(videos, colours)
    (videos / "class0/v0.avi").write_bytes(b"no video")
    assert counted(go(videos, colours)) == (0, 3, ["class0/v0"])
    assert (folder / "missing_files.txt").read_text() == "class0/v0\n"
    assert not (folder / "class0/v0.npy").exists()
    (videos / "list.txt").write_text("class0/v2.avi\n")
    (videos / "class0/v2.avi").unlink()
    assert counted(go(videos / "list.txt", colours, "../features")) == (0, 1, [])
    assert (folder / "class0/v2.npy").exists()
    assert (folder / "missing_files.txt").read_text() == "class0/v0\n"


def test_features_of_which_nothing_says_what_they_are_of_are_left_alone(videos, colours):
    go(videos, colours)
    record = videos.parent / "features/.videos/class0/v0.json"
    for damage in (lambda: record.write_text('{"video": 1}'), record.unlink):
        damage()
        with pytest.raises(
            InputError, match=r"v0.npy is there, but .*/\.videos/class0/v0\.json does not say"
        ):
            go(videos, colours)
    (videos.parent / "features/class0/v0.npy").unlink()
    assert counted(go(videos, colours)) == (1, 3, [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("left_out.json", b'{"missing": []}'),
        ("left_out.json", b'{"missing": null, "partly_read": {}}'),
        ("left_out.json", b'{"missing": {"a": 1}, "partly_read": {}}'),
        ("left_out.json", b"\xff"),
        ("missing_files.txt", b"\xff"),
    ],
)
def test_damaged_lists_are_made_again(videos, colours, name, content, caplog):
    whole = (videos / "class0/v2.avi").read_bytes()
    (videos / "class0/v2.avi").write_bytes(whole[: len(whole) * 8 // 10])
    (videos / "class1/v1.avi").write_bytes(b"no video")
    go(videos, colours)
    folder = videos.parent / "features"
    before = [(folder / file).read_bytes() for file in ("left_out.json", "missing_files.txt")]
    (folder / name).write_bytes(content)
    assert counted(go(videos, colours)) == (0, 3, ["class1/v1"])
    assert [(folder / file).read_bytes() for file in ("left_out.json", "missing_files.txt")] == before
    assert ("left_out.json is damaged and begun anew" in caplog.text) == (name == "left_out.json")


def test_a_stopped_extraction_goes_on(videos, colours, monkeypatch):
    real, seen = FeatureStream.features, []

    def dies(self, windows):
        seen.append(len(windows))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, windows)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStream, "features", dies)
        with pytest.raises(KeyboardInterrupt):
            go(videos, colours)
    folder = videos.parent / "features"
    assert len(list(folder.rglob("*.npy"))) == 2
    assert not list(folder.rglob(".lease*"))
    assert counted(go(videos, colours)) == (2, 2, [])
    go(videos, colours, "others")
    for file in folder.rglob("*.npy"):
        assert file.read_bytes() == (videos.parent / "others" / file.relative_to(folder)).read_bytes()


def test_a_video_that_cannot_be_read_is_listed_until_it_can_be(videos, colours, caplog):
    good = (videos / "class0/v2.avi").read_bytes()
    (videos / "class0/v2.avi").write_bytes(b"no video")
    (videos / "list.txt").write_text("class0/v0.avi\nclass0/v2.avi\ngone.avi\n")
    done = go(videos / "list.txt", colours, folder="../features")
    folder = videos.parent / "features"
    assert counted(done) == (1, 0, ["class0/v2", "gone"])
    assert "v2.avi" in done.missing["class0/v2"] and "check its path" in done.missing["gone"]
    assert (folder / "missing_files.txt").read_text() == "class0/v2\ngone\n"
    assert json.loads((folder / "left_out.json").read_text())["missing"] == done.missing
    assert "No features: " in caplog.text
    (videos / "class0/v2.avi").write_bytes(good)
    done = go(videos, colours)  # which knows nothing of the one that is gone
    assert counted(done) == (3, 1, [])
    assert (folder / "missing_files.txt").read_text() == "gone\n"
    (folder / "missing_files.txt").write_text("torn")
    go(videos, colours)
    assert (folder / "missing_files.txt").read_text() == "gone\n"


def test_a_video_read_in_part_is_named_with_how_much(videos, colours, caplog):
    whole = (videos / "class0/v2.avi").read_bytes()
    (videos / "class0/v2.avi").write_bytes(whole[: len(whole) * 8 // 10])
    done = go(videos, colours)
    assert list(done.partly) == ["class0/v2"] and done.partly["class0/v2"].endswith("of 20 frames")
    assert f"Features are of {done.partly['class0/v2']} only" in caplog.text
    (videos / "class0/v2.avi").write_bytes(whole)
    assert dict(go(videos, colours).partly) == {}


def test_a_short_video_is_looped_with_a_warning(tmp_path, colours, caplog):
    video = video_of(tmp_path / "v.avi", 3)
    extract_features(video, tmp_path / "looped", weights=colours, clip=7)
    extract_features(video, tmp_path / "whole", weights=colours, clip=3)
    assert "v.avi is shorter than a window and is looped to one" in caplog.text
    frames = np.array([0, 1, 2, 0, 1, 2, 0])
    means = (read_clip(video, 0, 3, fps=25.0, short_side=32)[..., 4:36] / 127.5 - 1).mean((2, 3)).numpy()
    found = np.load(tmp_path / "looped/v.npy")
    np.testing.assert_allclose(found, means[:, frames].mean(1)[None], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "video-features"}, "layout 'plain' instead of 'video-features'"),
        ({"clip": 5}, "with clip 4 instead of 5: choose another folder"),
        ({"step": 3}, "step 2 instead of 3"),
        ({"fps": 12.5}, "fps 25.0 instead of 12.5"),
    ],
)
def test_a_folder_of_other_features_is_refused(videos, colours, change, message):
    go(videos, colours)
    before = (videos.parent / "features/features.json").read_text()
    with pytest.raises(InputError, match=f"features holds other features, .*{message}"):
        go(videos, colours, **change)
    assert (videos.parent / "features/features.json").read_text() == before


def test_other_weights_are_refused_wherever_they_lie_and_the_same_ones_are_not(tmp_path, rgb):
    video = video_of(tmp_path / "v.avi", 10)
    given = {"clip": 9, "step": 2}
    extract_features(video, tmp_path / "features", weights=rgb, **given)
    about = json.loads((tmp_path / "features/features.json").read_text())
    assert about["weights_from"] == {"rgb": rgb} and len(about["weights"]["rgb"]) == 64
    same = shutil.copy(rgb, tmp_path / "same")
    assert extract_features(video, tmp_path / "features", weights=same, **given).there == 1
    others = str(save(tmp_path / "others", "rgb", seed=1))
    with pytest.raises(InputError, match="holds other features, with weights"):
        extract_features(video, tmp_path / "features", weights=others, **given)
    with pytest.raises(InputError, match="endpoint 'features' instead of 'Mixed_4f', channels"):
        extract_features(video, tmp_path / "features", weights=rgb, endpoint="Mixed_4f", **given)


def test_a_folder_that_does_not_say_what_it_holds_is_refused(videos, colours):
    go(videos, colours)
    about = videos.parent / "features/features.json"
    for text in ("{", "[]"):
        about.write_text(text)
        with pytest.raises(InputError, match=r"features.json (cannot be read|was not written here)"):
            go(videos, colours)
    about.unlink()
    with pytest.raises(InputError, match=r"v\d.npy is there, but no features.json that says"):
        go(videos, colours)


def test_features_of_another_version_of_the_library_that_computes_them_are_refused(videos, colours):
    go(videos, colours)
    known = ARCHITECTURES["colours"]
    ARCHITECTURES.replace(replace(known, library="torchvision"))
    with pytest.raises(InputError, match=r"architecture_version .*'1'} instead of .*'1, torchvision \d"):
        go(videos, colours)


def test_parts_divide_the_work_and_the_last_one_completes_it(videos, colours):
    done = [go(videos, colours, part=f"{number}/3") for number in (1, 2, 3)]
    assert sum(d.computed for d in done) == 4 and sum(d.there for d in done) == 0
    assert counted(go(videos, colours)) == (0, 4, [])


def test_of_two_at_once_one_computes_and_the_other_waits(videos, colours, monkeypatch):
    real, computed, done = FeatureStream.features, [], []

    def slow(self, windows):
        computed.append(threading.get_ident())
        time.sleep(0.1)
        return real(self, windows)

    monkeypatch.setattr(FeatureStream, "features", slow)
    threads = [threading.Thread(target=lambda: done.append(counted(go(videos, colours)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [(0, 4, []), (4, 0, [])]
    assert len(computed) == 4 and len(set(computed)) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stream": "flow"}, "has weights for rgb, but features of flow .*say --stream rgb, or give others"),
        ({"stream": "rbg"}, "Unknown stream 'rbg': did you mean 'rgb'"),
        (
            {"stream": "rgb+flow"},
            "is for one stream, but rgb and flow are to be computed: give weights",
        ),
        ({"architecture": "c3d"}, "has weights of i3d, not of c3d"),
        ({"layout": "actionfromer"}, "Unknown layout 'actionfromer': did you mean 'actionformer'"),
        ({"endpoint": "Mixed_4z"}, "Unknown endpoint 'Mixed_4z': did you mean 'Mixed_4"),
        ({"clip": 8}, "clip is 8, but i3d takes 9 frames or more"),
        ({"clip": 0}, "clip is 0, but must be at least 1"),
        ({"step": -1}, "step is -1, but must be at least 1"),
        ({"fps": 0.0}, "clips.fps is 0.0, but must be a number"),
        ({"part": "3/2"}, "part is '3/2', but must be like 2/8"),
        ({"weights": "nowhere.pt"}, "no weights file nowhere.pt"),
        ({"weights": None, "architecture": "c3d"}, "Say which weights of c3d for rgb: --weights with a path"),
        ({"weights": None}, "Say which weights of i3d for rgb: --weights with one of i3d-rgb-kinetics400,"),
        ({"weights": None, "architecture": "c3d", "stream": "flow"}, "Unknown stream 'flow'.* Known are rgb"),
    ],
)
def test_what_does_not_go_together_says_so_and_writes_nothing(videos, rgb, given, message):
    with pytest.raises(InputError, match=message):
        extract_features(videos, videos.parent / "features", **{"weights": rgb, **given})
    assert not (videos.parent / "features").exists()


def test_two_streams_prepared_differently_are_not_mixed(tmp_path, videos, rgb):
    flow = str(save(tmp_path / "flow", "flow", replace(CLIPS, short_side=40)))
    with pytest.raises(InputError, match=r"rgb and flow want frames prepared differently .*32 px.*40 px"):
        go(videos, {"rgb": rgb, "flow": flow}, stream="rgb+flow", clip=9)


def test_an_endpoint_is_averaged_over_space_and_time(tmp_path, rgb):
    video = video_of(tmp_path / "v.avi", 10)
    for endpoint, size in (("Mixed_3b", 256), ("Logits", 3)):
        extract_features(video, tmp_path / endpoint, weights=rgb, endpoint=endpoint, clip=9)
        assert np.load(tmp_path / endpoint / "v.npy").shape == (1, size)
    stream = FeatureStream("rgb", None, rgb, "Mixed_3b", None)
    frames = stream.source.read(VideoFile(video), 0, 9)
    with torch.inference_mode():
        clip = stream.seen(frames, 9)[None] / 127.5 - 1
        expected = stream.network.inception.endpoints(clip, ["Mixed_3b"])["Mixed_3b"].mean((2, 3, 4))
    assert distance(np.load(tmp_path / "Mixed_3b/v.npy"), expected.numpy()) < 1e-5


def test_a_network_without_named_stages_has_no_endpoint_but_its_last(videos, colours):
    with pytest.raises(InputError, match="colours has no endpoints but 'features', not 'Mixed_3b'"):
        go(videos, colours, endpoint="Mixed_3b")


def test_a_network_of_one_length_has_only_that_window(videos, colours):
    object.__setattr__(ARCHITECTURES["colours"], "windows", True)
    with pytest.raises(InputError, match="clip is 4, but colours is built for 9 frames alone: leave it out"):
        go(videos, colours)
    go(videos, colours, clip=None)
    assert np.load(videos.parent / "features/class0/v0.npy").shape == (6, 3)


@pytest.mark.parametrize("interpolation", ["bilinear", "bilinear-float", "antialias"])
def test_an_adapted_network_is_shown_frames_as_its_own_test_shows_them(tmp_path, monkeypatch, interpolation):
    """One window of the whole video is what `WholeVideos` gives of it."""
    clips = Clips(
        fps=25, short_side=27, crop=24, train_frames=8, test_frames=8, aspect=1.3, interpolation=interpolation
    )
    torch.manual_seed(0)
    monkeypatch.setattr(ARCHITECTURES, "_known", dict(ARCHITECTURES._known))

    def build(classes: int, *_: object) -> AdaptedNetwork:
        layers = nn.Conv3d(3, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 3)
        return AdaptedNetwork(nn.Sequential(*layers), "4", 8, classes, dropout=0.0)

    network = build(3).eval()
    ARCHITECTURES.register(Architecture("adapted", "Adapted", build, clips, smallest=(8, 24), windows=True))
    said = {"architecture": "adapted", "stream": "rgb", "pretraining": "kinetics", "labels": None}
    save_weights(tmp_path / "weights", network, **said, clips=clips)
    video = video_of(tmp_path / "v.avi", 8)
    extract_features(video, tmp_path / "f", weights=tmp_path / "weights")
    (clip,) = WholeVideos([Video("v", video, 0, "")], [RGBFrames.of(clips)], clips)[0]["clips"]
    with torch.inference_mode():
        expected = network.forward_features(prepare(clip[None], clips)).mean(2)
    assert distance(np.load(tmp_path / "f/v.npy"), expected.numpy()) < 1e-5


def test_another_frame_rate_is_said(videos, colours, caplog):
    go(videos, colours, fps=12.5)
    about = json.loads((videos.parent / "features/features.json").read_text())
    (warning,) = about["warnings"]
    assert warning.startswith("frames are 12.5 a second, but those that") and warning in caplog.text
    assert np.load(videos.parent / "features/class0/v0.npy").shape == (4, 3)  # of 10 frames


def test_a_joint_network_sees_both_of_the_same_frames(tmp_path):
    settings = Clips(short_side=32, crop=32, train_frames=10, test_frames=10, snapshot=10)
    network = ARCHITECTURES["two-stream"].build(3, "joint", settings, Training())
    said = {"architecture": "two-stream", "stream": "joint", "pretraining": None, "labels": None}
    save_weights(tmp_path / "joint", network, **said, clips=settings, flow=SETTINGS)
    video = video_of(tmp_path / "v.avi", 23)
    extract_features(video, tmp_path / "f", weights=str(tmp_path / "joint"), stream="joint", clip=20, step=1)
    assert np.load(tmp_path / "f/v.npy").shape == (3, 2048)
    with pytest.raises(InputError, match=r"train_frames is 15, but must be a multiple of clips.snapshot"):
        extract_features(video, tmp_path / "g", weights=str(tmp_path / "joint"), stream="joint", clip=15)


def test_progress_has_a_rate_and_the_time_left(videos, colours, monkeypatch, caplog):
    monkeypatch.setattr(progress_, "EVERY", 0.0)
    caplog.set_level(logging.INFO)
    go(videos, colours, progress=True)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Features: ")]
    assert lines[-1].startswith("Features: 4 of 4 videos, ") and lines[-1].endswith("0:00:00 left.")
    assert "windows/s" in lines[0]


def test_the_command_says_what_there_is_and_what_is_missing(videos, colours, capsys):
    (videos / "class0/v2.avi").write_bytes(b"no video")
    folder = videos.parent / "features"
    argv = ["features", str(videos), str(folder), "--weights", colours, "--clip", "4", "--step", "2"]
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 1
    assert f"3 of 4 videos have their features in {folder}, 0 of them from before" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*argv, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["computed"], said["there"], list(said["missing"])) == (0, 3, ["class0/v2"])
    with pytest.raises(SystemExit) as stop:
        main(["features", str(videos)])
    assert stop.value.code == 2 and "DST is required" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_processes_leave_whole_files_and_others_go_on(tmp_path, rgb):
    """Three processes for the same folder, of which the first is killed at work."""
    for number in range(8):
        video_of(tmp_path / f"videos/v{number}.avi", 30, seed=number)
    argv = [sys.executable, "-m", "i3d_lightning", "features", str(tmp_path / "videos"), str(tmp_path / "f")]
    argv += ["--weights", rgb, "--clip", "9", "--step", "1", "--json"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list((tmp_path / "f").glob("*.npy")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    others = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(other.communicate()[0]) for other in others]
    assert [other.returncode for other in others] == [0, 0]
    computed = sorted(found["computed"] for found in said)
    assert computed[0] == 0 and 0 < computed[1] < 8
    extract_features(tmp_path / "videos", tmp_path / "g", weights=rgb, clip=9, step=1)
    for file in (tmp_path / "g").glob("*.npy"):
        assert file.read_bytes() == (tmp_path / "f" / file.name).read_bytes()


@pytest.mark.slow
def test_features_of_a_real_clip_are_what_its_classifier_sees(assets, tmp_path):
    """The 79 frames of cricket as one window: the reference logits, from the features."""
    public = str(assets / "weights" / "i3d-kinetics-400.ckpt")
    network, clips = create_model("i3d", pretrained=public), Clips(short_side=224)
    said = {"architecture": "i3d", "stream": "rgb", "pretraining": "kinetics", "labels": None}
    save_weights(tmp_path / "weights", network, **said, clips=clips)
    clip = assets / "clips" / "v_CricketShot_g04_c01_rgb.gif"
    extract_features(clip, tmp_path / "f", weights=tmp_path / "weights", clip=79, layout="actionformer")
    with torch.inference_mode():
        logits = network.classifier(torch.from_numpy(np.load(tmp_path / "f" / f"{clip.stem}.npy")))
    reference = np.load(f"{clip.with_suffix('')}.logits.npy").reshape(1, 400)
    assert distance(logits.numpy(), reference) < 1e-4
