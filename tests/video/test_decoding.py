"""Decoding, frame by frame, of videos whose frames show their number, and of real ones."""

from __future__ import annotations

import shutil
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.decoding import length, probe, read_clip, read_video

FORMATS = {
    "mp4, B-frames": ("clip.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "avi, B-frames": ("clip.avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2", "b": "2000000"}),
    "avi, B-pyramid": ("clip.avi", "libx264", "yuv420p", {"g": "24", "bf": "8", "b_strategy": "0"}),
    "avi": ("clip.avi", "mpeg4", "yuv420p", {"g": "12", "b": "2000000"}),
    "webm": ("clip.webm", "libvpx", "yuv420p", {"g": "15", "b": "1000000"}),
    "mkv, open groups": (
        "clip.mkv",
        "libx264",
        "yuv420p",
        {"g": "12", "bf": "3", "x264-params": "open-gop=1"},
    ),
    "transport stream": ("clip.ts", "libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "raw stream": ("clip.h264", "libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "gif": ("clip.gif", "gif", "rgb8", {}),
}
RATES = (25.0, 30.0, 12.5, 30000 / 1001)


def can_hold(name: str, fps: float) -> bool:
    """GIF counts hundredths of a second; a raw stream says nothing of its rate, which is taken for 25."""
    return 100 % fps == 0 if name == "gif" else fps == 25 if name == "raw stream" else True


@pytest.mark.parametrize(("name", "fps"), [(n, fps) for n in FORMATS for fps in RATES if can_hold(n, fps)])
def test_every_frame_at_its_own_rate(make_video, numbers, name, fps):
    name, codec, pix_fmt, options = FORMATS[name]
    path = make_video(name, codec, pix_fmt, frames=70, fps=Fraction(fps).limit_denominator(1001), **options)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (70, 48, 80)
    assert info.fps == pytest.approx(fps, rel=1e-4)
    assert length(path, fps=fps) == 70
    assert numbers(read_clip(path, 0, 70, fps=fps, short_side=48)) == list(range(70))


@pytest.mark.parametrize("name", FORMATS)
def test_far_in_equals_from_the_start(make_video, numbers, name):
    name, codec, pix_fmt, options = FORMATS[name]
    path = make_video(name, codec, pix_fmt, frames=70, **options)
    for start in (1, 11, 12, 13, 23, 37, 61):
        assert numbers(read_clip(path, start, 9, fps=25.0, short_side=48)) == list(range(start, start + 9))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("timeline", [25.0, 12.5, 50.0])
def test_resampled_frame_is_the_one_on_display(make_video, numbers, fps, timeline):
    source = Fraction(fps).limit_denominator(1001)
    path = make_video("clip.mp4", "libx264", "yuv420p", frames=60, fps=source, g="12")
    expected = [int(i / Fraction(timeline) * source) for i in range(round(60 / source * Fraction(timeline)))]
    assert length(path, fps=timeline) == len(expected)
    assert numbers(read_clip(path, 0, len(expected), fps=timeline, short_side=48)) == expected
    assert numbers(read_clip(path, 17, 5, fps=timeline, short_side=48)) == expected[17:22]


def test_a_frame_stays_on_display_until_the_next(make_video, numbers):
    path = make_video(frames=6, times=[0, 1, 2, 5, 6, 9])
    assert length(path, fps=25.0) == 11  # the last frame stays as long as frames do on average
    assert numbers(read_clip(path, 0, 10, fps=25.0, short_side=48)) == [0, 1, 2, 2, 2, 3, 4, 4, 4, 5]


def test_lossless_pixels(make_video):
    path = make_video(frames=3)
    with av.open(str(path)) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    clip = read_clip(path, 0, 3, fps=25.0, short_side=48)
    assert clip.dtype == torch.uint8
    np.testing.assert_array_equal(clip.permute(1, 2, 3, 0).numpy(), expected)
    assert clip[:, 1, 40, 1].tolist() == [255, 128, 0]


@pytest.mark.parametrize(
    ("short_side", "size"), [(48, (48, 80)), (24, (24, 40)), (64, (64, 107)), (7, (7, 12))]
)
def test_shorter_side(make_video, short_side, size):
    path = make_video(frames=2)
    assert read_clip(path, 0, 2, fps=25.0, short_side=short_side).shape == (3, 2, *size)


def test_shorter_side_of_an_upright_video(tmp_path, make_video):
    path = make_video(frames=2)
    upright = tmp_path / "upright.mkv"
    with av.open(str(upright), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 80, "bgr0"
        container.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((80, 48, 3), np.uint8), format="rgb24"))
        )
        container.mux(stream.encode(None))
    assert read_clip(path, 0, 1, fps=25.0, short_side=24).shape == (3, 1, 24, 40)
    assert read_clip(upright, 0, 1, fps=25.0, short_side=24).shape == (3, 1, 40, 24)


def test_shrinking_averages(tmp_path):
    path = tmp_path / "stripes.mkv"
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stripes, format="rgb24")))
        container.mux(stream.encode(None))
    small = read_clip(path, 0, 1, fps=25.0, short_side=16)[..., 2:-2, 2:-2].float()
    assert (small - 100).abs().max() <= 2  # picking the nearest pixel would give 0 or 200


@pytest.mark.parametrize(("start", "frames"), [(0, 25), (7, 8), (9, 1), (13, 30)])
def test_short_videos_are_looped(make_video, numbers, start, frames):
    path = make_video(frames=10)
    clip = read_clip(path, start, frames, fps=25.0, short_side=48)
    assert numbers(clip) == [(start + i) % 10 for i in range(frames)]


@pytest.mark.parametrize(
    ("most", "least", "expected"),
    [(4, 1, range(4)), (5, 1, range(5)), (99, 1, range(10)), (99, 13, [*range(10), 0, 1, 2])],
)
def test_read_video_takes_the_first_frames(make_video, numbers, most, least, expected):
    path = make_video(frames=10)
    video = read_video(path, fps=25.0, short_side=48, most=most, least=least)
    assert numbers(video) == list(expected)


def test_only_what_is_needed_is_decoded(make_video, numbers):
    """Frames before the keyframe are destroyed, and those wanted come out right."""
    path = make_video("clip.mp4", "libx264", "yuv420p", frames=96, g="12")
    content = bytearray(path.read_bytes())
    data = content.index(b"mdat") + 4
    content[data : data + 1000] = bytes(1000)
    path.write_bytes(content)
    assert numbers(read_clip(path, 60, 24, fps=25.0, short_side=48)) == list(range(60, 84))


def test_a_colon_in_a_name(make_video, numbers):
    path = make_video("concat:clip.mkv", frames=3)
    assert numbers(read_clip(path, 0, 3, fps=25.0, short_side=48)) == [0, 1, 2]


def sentence(error: pytest.ExceptionInfo[UnreadableVideoError], path: Path) -> str:
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def bad_files(folder: Path) -> dict[str, Path]:
    files = {
        name: folder / name
        for name in ("missing.mp4", "empty.avi", "text.mp4", "still.png", "sound.wav", "dir")
    }
    files["empty.avi"].touch()
    files["text.mp4"].write_text("not a video at all\n" * 50)
    files["dir"].mkdir()
    with av.open(str(files["still.png"]), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        container.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24"))
        )
        container.mux(stream.encode(None))
    with wave.open(str(files["sound.wav"]), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    return files


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mp4", "is not a file"),
        ("dir", "is not a file"),
        ("empty.avi", "is empty"),
        ("text.mp4", "cannot be read as a video"),
        ("still.png", "holds no video"),
        ("sound.wav", "holds no video"),
    ],
)
def test_bad_files_are_named_in_one_sentence(tmp_path, capfd, name, words):
    path = bad_files(tmp_path)[name]
    for read in (
        lambda: probe(path),
        lambda: length(path, fps=25.0),
        lambda: read_clip(path, 0, 4, fps=25.0, short_side=32),
    ):
        with pytest.raises(UnreadableVideoError) as error:
            read()
        assert words in sentence(error, path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("clip.avi", "mpeg4", {}),
        ("clip.mp4", "libx264", {"movflags": "faststart"}),
        ("clip.webm", "libvpx", {}),
    ],
)
def test_half_downloaded(make_video, numbers, capfd, name, codec, container):
    path = make_video(name, codec, "yuv420p", frames=100, container=container, g="12", b="500000")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    left = length(path, fps=25.0)
    assert 20 < left < 80
    assert numbers(read_clip(path, 3, left - 3, fps=25.0, short_side=48)) == list(range(3, left))
    with pytest.raises(UnreadableVideoError) as error:
        read_clip(path, 0, left + 1, fps=25.0, short_side=48)
    assert f"breaks off after {left} of {left + 1} frames" in sentence(error, path)
    with pytest.raises(UnreadableVideoError, match=f"breaks off after {left} of 100 frames"):
        read_clip(path, 2, 20, fps=25.0, short_side=48, step=5)  # it is no shorter for being seen sparsely
    assert capfd.readouterr() == ("", "")


def test_half_downloaded_without_its_index(make_video):
    path = make_video("clip.mp4", "libx264", "yuv420p")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableVideoError) as error:
        probe(path)
    assert "cannot be read as a video" in sentence(error, path)


def test_damage_in_the_middle(make_video, numbers, capfd):
    """The data ends in zeros: what comes before decodes; more than a second without a picture is an error."""
    container = {"movflags": "faststart"}
    path = make_video("clip.mp4", "libx264", "yuv420p", frames=100, container=container, g="12")
    content = path.read_bytes()
    whole = len(content) * 2 // 3
    path.write_bytes(content[:whole] + bytes(len(content) - whole))
    assert numbers(read_clip(path, 0, 20, fps=25.0, short_side=48)) == list(range(20))
    with pytest.raises(UnreadableVideoError) as error:
        read_clip(path, 0, 100, fps=25.0, short_side=48)
    assert "cannot be decoded for more than a second" in sentence(error, path)
    assert capfd.readouterr() == ("", "")


def test_a_changed_file_is_read_anew(make_video, tmp_path):
    path = make_video(frames=5)
    assert length(path, fps=25.0) == 5
    longer = make_video("longer.mkv", frames=9)
    shutil.copyfile(longer, path)
    assert length(path, fps=25.0) == 9


def test_real_clips_frame_by_frame(assets):
    """All UCF-101 clips, among them ones with dropped frames and with times in decoding order."""
    videos = sorted((assets / "ucf101" / "videos").glob("*/*.avi"))
    assert len(videos) == 384
    lacking, mislabelled = 0, 0
    for number, path in enumerate([*videos, *sorted((assets / "clips").glob("*.[mg]*"))]):
        info = probe(path)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            slots = stream.frames
            frames = [(frame.pts, frame) for frame in container.decode(stream)]
            seconds = [float((pts - frames[0][0]) * stream.time_base) for pts, _ in frames]
        lacking += len(frames) < slots
        mislabelled += seconds != sorted(seconds)
        seconds = [second - min(seconds) for second in sorted(seconds)]
        assert info.frames == slots == length(path, fps=info.fps)
        assert abs(length(path, fps=25.0) - slots / info.fps * 25) <= 0.5

        start = (37 * number) % slots
        clip = read_clip(path, start, 2, fps=info.fps, short_side=min(info.height, info.width))
        for image, t in zip(clip.unbind(1), (start, (start + 1) % slots), strict=True):
            shown = max(i for i, second in enumerate(seconds) if second <= t / info.fps + 1e-3)
            expected = frames[shown][1].reformat(format="rgb24", interpolation="BILINEAR", threads=1)
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected.to_ndarray(), str(path))
    assert (lacking, mislabelled) == (11, 41)


def test_the_authors_clip(assets):
    """Their RGB clip is stored at the size and rate wanted: it must come through unchanged."""
    path = assets / "clips" / "v_CricketShot_g04_c01_rgb.gif"
    with av.open(str(path)) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    video = read_video(path, fps=25.0, short_side=224, most=250)
    assert video.shape == (3, 79, 224, 224)
    np.testing.assert_array_equal(video.permute(1, 2, 3, 0).numpy(), expected)
