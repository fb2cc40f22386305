"""Classes over the time of a video: which clip answers for which moment, and that each frame is read once."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from videos import write_video

from i3d_lightning.cli.main import main
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow import compute_all
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.predict import moments, pictures
from i3d_lightning.predict.moments import Moment, stretches
from i3d_lightning.predict.predictor import Predictor
from i3d_lightning.recipe import Clips, Flow, Training
from i3d_lightning.video import decoding
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.transforms import centre_place, crop
from i3d_lightning.weights import save_weights

CLIPS = Clips(short_side=32, crop=32, train_frames=8, test_frames=8)


@pytest.fixture
def long_video(tmp_path):
    """47 frames that turn from red to blue."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 40, 32, "yuv420p", 12
        for t in range(47):
            frame = np.zeros((32, 40, 3), np.uint8)
            frame[..., 0], frame[..., 2] = 230 - 5 * t, 5 * t
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def reads(monkeypatch):
    """The frames that are read: first and number of each time."""
    found: list[tuple[int, int]] = []
    read_clip = decoding.read_clip

    def spy(path, start, frames, **how):
        found.append((start, frames))
        return read_clip(path, start, frames, **how)

    monkeypatch.setattr(decoding, "read_clip", spy)
    return found


def probabilities_of(path, start: int, frames: int = 8) -> torch.Tensor:
    """What the network of colours must say of a clip."""
    clip = decoding.read_clip(path, start, frames, fps=25.0, short_side=32)
    seen = crop(clip, *centre_place(clip.shape, 32), 32).double().mean((1, 2, 3)) / 255
    return ((seen - 0.5) / 0.5).softmax(0).float()


@pytest.mark.parametrize("every", [0.04, 0.3, 0.5, 5.0])
def test_a_moment_is_seen_by_the_clip_around_its_middle(save, long_video, every, monkeypatch, reads):
    monkeypatch.setattr(moments, "STRETCH", 10)
    found = list(Predictor(save(clips=CLIPS)).over_time(long_video, every))
    count = math.ceil(round(47 / 25 / every, 6))
    read = list(reads)
    assert [m.start for m in found] == pytest.approx([i * every for i in range(count)])
    assert [m.end for m in found] == pytest.approx([*(i * every for i in range(1, count)), 47 / 25])
    for moment in found:
        begin = math.floor(round((moment.start + moment.end) / 2 * 25 - 4 + 0.5, 3))
        expected = probabilities_of(long_video, min(max(begin, 0), 39))
        torch.testing.assert_close(moment.probabilities, expected, atol=1e-5, rtol=0)
    assert found[0].best(1)[0][0] == "Red" or every == 5.0
    frames = [frame for start, many in read for frame in range(start, start + many)]
    assert sorted(set(frames)) == frames, "in order, and none twice"
    assert max(many for _, many in read) <= 10, "few at a time"


def test_frames_that_no_clip_sees_are_not_read(save, long_video, reads):
    list(Predictor(save(clips=replace(CLIPS, train_frames=2))).over_time(long_video, 0.4))
    assert reads == [(4, 2), (14, 2), (24, 2), (34, 2), (43, 2)]


def test_a_video_of_one_clip_is_predicted_as_ever(save, tmp_path):
    path = tmp_path / "short.avi"
    write_video(path, colour=2, seed=0, frames=8)
    for flip in (False, True):
        predictor = Predictor(save(clips=replace(CLIPS, test_flip=flip)))
        (moment,) = predictor.over_time(path, every=1)
        assert moment.best() == predictor(path)
        assert (moment.start, moment.end) == (0, pytest.approx(8 / 25))


def test_a_video_shorter_than_a_clip_is_looped_with_a_warning(save, tmp_path, caplog):
    path = tmp_path / "short.avi"
    write_video(path, colour=1, seed=0, frames=5)
    found = list(Predictor(save(clips=CLIPS)).over_time(path, every=0.1))
    assert len(found) == 2
    for moment in found:
        torch.testing.assert_close(moment.probabilities, probabilities_of(path, 0), atol=1e-5, rtol=0)
    assert "is looped, since it has 5 frames at 25 a second and a clip 8" in caplog.text


def test_a_joint_network_sees_the_snapshots_of_each_clip(tmp_path, long_video, monkeypatch):
    monkeypatch.setattr(moments, "STRETCH", 15)
    settings = Flow(scales=1, warps=1, inner_iterations=3, outer_iterations=1)
    clips = Clips(short_side=32, crop=32, train_frames=20, test_frames=40, snapshot=10)
    torch.manual_seed(0)
    network = ARCHITECTURES["two-stream"].build(3, "joint", clips, Training()).eval()
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    path = tmp_path / "joint.safetensors"
    said = {"architecture": "two-stream", "stream": "joint", "pretraining": None, "labels": None}
    save_weights(path, network, **said, clips=clips, flow=settings)
    predictor = Predictor(str(path))
    found = list(predictor.over_time(long_video, every=0.6))
    starts = [0, 13, 26, 26]  # 46 fields: the last two clips end with the video
    assert len(found) == 4
    for moment, start in zip(found, starts, strict=True):
        rgb, flow = (source.read(VideoFile(long_video), start, 20) for source in predictor.sources)
        place = centre_place(rgb.shape, 32)
        inputs = [crop(rgb, *place, 32)[None], compute_all([replace(flow, place=(*place, 32))], settings)]
        with torch.no_grad():
            logits = network(*(clip / 127.5 - 1 for clip in inputs)).mean(2)
        torch.testing.assert_close(moment.probabilities, logits.softmax(1)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("every", [0, -1, math.nan, math.inf, 0.039, 1e9])
def test_moments_that_are_none(save, video, every):
    with pytest.raises(InputError, match=r"every is .* s, but .*: choose"):
        Predictor(save()).over_time(video, every)


def test_a_video_that_cannot_be_read(save, tmp_path):
    (tmp_path / "bad.avi").write_bytes(b"no video")
    with pytest.raises(UnreadableVideoError, match=r"bad\.avi"):
        next(Predictor(save()).over_time(tmp_path / "bad.avi"))


def test_neighbours_of_one_class_are_joined():
    made = [(0, 2, [0.6, 0.4]), (2, 4, [0.9, 0.1]), (4, 5, [0.3, 0.7]), (5, 9, [0.2, 0.8])]
    found = stretches(Moment(start, end, torch.tensor(p), ("a", "b")) for start, end, p in made)
    assert [(s.start, s.end, s.label) for s in found] == [(0, 4, "a"), (4, 9, "b")]
    assert [s.probability for s in found] == pytest.approx([0.75, (0.7 + 4 * 0.8) / 5])


def test_tables_and_pictures_of_moments(save, long_video, video, tmp_path, capsys):
    weights, table, picture = f"--weights={save(clips=CLIPS)}", tmp_path / "new/m.csv", tmp_path / "r.png"
    asked = [f"--csv={table}", f"--ribbon={picture}"]
    main(["predict", str(long_video), weights, "--every=0.5", "--top=2", *asked])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == str(long_video)
    assert [line.split()[-1] for line in lines] == ["Red", "Blue"]
    assert [line.split()[:4] for line in lines] == [["0.00", "–", "1.00", "s"], ["1.00", "–", "1.88", "s"]]
    rows = pd.read_csv(table)
    assert list(rows.columns) == ["video", "start", "end", "label", "probability"]
    assert rows.start.tolist() == [0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5] and rows.end.iloc[-1] == 1.88
    assert rows.label.tolist()[::2] == ["Red", "Red", "Blue", "Blue"]
    main(["predict", str(long_video), str(video), weights, "--every=0.5", "--top=2", "--json"])
    spoken = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["video"] for line in spoken] == [str(long_video)] * 4 + [str(video)]
    told = [p for line in spoken[:4] for p in line["predictions"]]
    assert [p["label"] for p in told] == rows.label.tolist()
    assert [p["probability"] for p in told] == pytest.approx(rows.probability.tolist(), abs=1e-6)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    drawn = {colour: (pixels == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(2).mean()
             for colour in (*pictures.COLOURS[:3], pictures.REST)}  # fmt: skip
    first, second, third, rest = drawn.values()
    assert min(first, second, rest) > 0.02 and third == 0, "two classes win, and green is the rest"


def test_what_was_done_before_an_interruption_is_in_the_table(save, video, tmp_path, monkeypatch):
    real = Predictor.over_time

    def over_time(self, path, every):
        if Path(path).name == "second.avi":
            raise KeyboardInterrupt
        return real(self, path, every)

    monkeypatch.setattr(Predictor, "over_time", over_time)
    table, weights = tmp_path / "m.csv", f"--weights={save()}"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["predict", str(video), "second.avi", weights, "--every=0.1", f"--csv={table}"])
    assert pd.read_csv(table).video.unique().tolist() == [str(video)]


def test_a_name_is_drawn_as_it_is(save, long_video, tmp_path, monkeypatch):
    """No formula, and none that legends leave out."""
    odd = tmp_path / "$^$ x.mp4"
    odd.symlink_to(long_video)
    drawn = []
    monkeypatch.setattr(
        pictures, "ribbon", lambda *given, _real=pictures.ribbon: drawn.append(_real(*given)) or drawn[-1]
    )
    weights = f"--weights={save(clips=CLIPS, labels=('_red', '$^$', '$blue'))}"
    main(["predict", str(odd), weights, "--every=0.5", f"--ribbon={tmp_path / 'r.png'}"])
    main(["predict", str(odd), weights, f"--maps={tmp_path / 'm.png'}"])
    (legend,) = drawn[0].legends
    assert {text.get_text()[:4].strip("\u200b")[:3] for text in legend.get_texts()} == {"_re", r"\$b", "all"}


def test_a_video_that_fails_midway_leaves_the_others_whole(save, video, tmp_path, capsys):
    (tmp_path / "bad.avi").write_bytes(b"no video")
    table = tmp_path / "m.csv"
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(tmp_path / "bad.avi"), str(video), f"--weights={save()}", "--every=0.1",
              f"--csv={table}"])  # fmt: skip
    assert stop.value.code == 1
    assert "bad.avi" in capsys.readouterr().err
    assert pd.read_csv(table).video.unique().tolist() == [str(video)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--csv=m.csv"], "--csv is of moments: say how long these are"),
        (["--ribbon=r.png"], "--ribbon is of moments"),
        (["--every=1", "--csv=m.csv", "--json"], "drop one of them"),
        (["--every=1", "--maps=m.png"], "--every is for others"),
        (["--json", "--maps=m.png"], "--json is for others"),
        (["--class=Red"], "--class is for --maps"),
        (["more.avi", "--every=1", "--ribbon=r.png"], "a picture of one video, but there are 2"),
        (["more.avi", "--maps=m.png"], "a picture of one video, but there are 2"),
        (["--every=1", "--csv=m.txt"], "ends in .csv"),
        (["--every=1", "--ribbon=r.jpg"], "ends in .png"),
        (["--maps={tmp}/file/m.png"], "not a folder"),
        (["--every=0.01"], "every is 0.01 s, but frames follow each other every 0.04 s"),
        (["--maps=m.png", "--class=Gren"], "did you mean 'Green'?"),
    ],
)
def test_flags_that_do_not_go_together(save, video, tmp_path, capsys, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(video), *flags, f"--weights={save()}"])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
