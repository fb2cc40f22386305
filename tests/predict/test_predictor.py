"""Prediction of single videos, prepared as the weights say."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import broken
import numpy as np
import pytest
import torch

from i3d_lightning.cli.main import main
from i3d_lightning.cli.predict import predict
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.predict.predictor import Predictor
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.video import decoding
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.transforms import centre_place, crop
from i3d_lightning.weights import save_weights

CLIPS = Clips(short_side=32, crop=32, train_frames=4, test_frames=8)


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), ((0.43, 0.39, 0.38), (0.23, 0.22, 0.21))]
)
def test_frames_are_normalised_as_the_weights_say(save, video, mean, std):
    predictor = Predictor(
        save(clips=Clips(short_side=32, crop=32, test_frames=8, train_frames=4, mean=mean, std=std))
    )
    found = dict(predictor(video))
    clip = read_clip(video, 0, 8, fps=25.0, short_side=32)
    seen = crop(clip, *centre_place(clip.shape, 32), 32).double().mean((1, 2, 3)).numpy() / 255
    expected = np.exp((seen - mean) / std)
    expected /= expected.sum()
    np.testing.assert_allclose([found[name] for name in ("Red", "Green", "Blue")], expected, atol=1e-5)
    assert [name for name, _ in predictor(str(video), top=1)] == ["Green"]


def test_the_crop_and_the_mirror_image_of_test_are_the_weights(save, video):
    """Mirror images change nothing that this network sees, but are seen."""
    for clips in (
        replace(CLIPS, short_side=32, crop=24),
        replace(CLIPS, crop=24, test_crop=31, test_flip=True),
    ):
        predictor = Predictor(save(clips=clips))
        seen: list[torch.Tensor] = []
        predictor.network.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        predictor(video)
        side = clips.test_crop or 24
        assert [clip.shape[2:] for clip in seen] == [(8, side, side)] * (2 if clips.test_flip else 1)
        assert torch.equal(seen[-1].flip(-1), seen[0]) == clips.test_flip


def test_what_is_said_of_a_video_read_in_part_names_how_much(save, video, tmp_path, capsys, caplog):
    torn = tmp_path / "torn.avi"
    torn.write_bytes(video.read_bytes()[: int(0.9 * video.stat().st_size)])
    main(["predict", str(torn), str(video), f"--weights={save()}", "--json"])
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"\d+ of \d+ frames", first["partly_read"])
    assert "partly_read" not in second
    assert [r.getMessage() for r in caplog.records] == [f"{torn} was partly read: {first['partly_read']}"]


def test_without_a_word_of_clips_they_are_the_networks(save, video):
    predictor = Predictor(save(clips=None, labels=None))
    assert predictor.clips == CLIPS
    assert predictor(video, top=1)[0][0] == "class 1"


def test_flow_is_computed_as_the_weights_say(tmp_path, video):
    path, settings = (
        tmp_path / "flow.safetensors",
        Flow(scales=1, warps=1, inner_iterations=3, outer_iterations=1, bound=4.0),
    )
    clips = Clips(short_side=32, crop=32, train_frames=9, test_frames=11)
    network = I3D(3, channels=2)
    said = {"architecture": "i3d", "stream": "flow", "pretraining": None, "labels": None}
    save_weights(path, network, **said, clips=clips, flow=settings)
    predictor = Predictor(str(path))
    assert predictor.flow == settings
    assert sum(p for _, p in predictor(video)) == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_read_says_so(save, tmp_path):
    (tmp_path / "bad.avi").write_bytes(b"no video")
    with pytest.raises(UnreadableVideoError, match=r"bad\.avi"):
        Predictor(save())(tmp_path / "bad.avi")


def test_a_damaged_video_is_named_and_one_that_crashes_the_decoder_stops_nothing(
    save, video, tmp_path, monkeypatch, caplog, capsys
):
    content = video.read_bytes()
    cut, crashes = tmp_path / "cut.avi", tmp_path / "crashes.avi"
    cut.write_bytes(content[: len(content) * 8 // 10])
    crashes.write_bytes(content)
    monkeypatch.setattr(decoding, "read_frames", broken.read_frames)
    with pytest.raises(SystemExit) as stop:
        predict([str(crashes), str(cut), str(video)], weights=save(), top=1, json=True)
    assert stop.value.code == 1
    said = capsys.readouterr()
    first, second, third = (json.loads(line) for line in said.out.splitlines())
    assert "crashes the decoder" in first["error"]
    assert f"error: {first['error']}" in said.err
    assert re.fullmatch(r"\d+ of 12 frames", second["partly_read"])
    assert f"{cut} was partly read: {second['partly_read']}" in caplog.text
    assert second["predictions"][0]["label"] == third["predictions"][0]["label"] == "Green"
    assert "partly_read" not in third


def test_weights_that_cannot_predict_are_refused(save, tmp_path):
    with pytest.raises(InputError, match="does not say which stream it is for"):
        Predictor(save(stream=None))
    headless = I3D(1, final_endpoint="Mixed_3b")
    said = {"architecture": "i3d", "stream": "rgb", "pretraining": None, "labels": None, "clips": None}
    save_weights(tmp_path / "headless", headless, **said)
    with pytest.raises(InputError, match="headless has no classifier, so it cannot predict"):
        Predictor(str(tmp_path / "headless"))
