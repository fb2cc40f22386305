"""Frames resized as torchvision resizes them."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as first
from torchvision.transforms.v2 import functional as second

from i3d_lightning.datasets.clips import RGBFrames
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.recipe import Clips
from i3d_lightning.video import resizing
from i3d_lightning.video.decoding import length, read_clip
from i3d_lightning.video.file import VideoFile

SIZES = {"landscape": (90, 161), "portrait": (161, 90), "smaller": (30, 41), "square": (72, 72)}


def theirs(clip: torch.Tensor, size: list[int], interpolation: str = "bilinear") -> torch.Tensor:
    """What torchvision makes: its reference scripts by the first transforms, transformers by the second."""
    mode = InterpolationMode.BICUBIC if "bicubic" in interpolation else InterpolationMode.BILINEAR
    averaged = interpolation.startswith("antialias")
    resize = second.resize if averaged else first.resize
    return resize(clip.movedim(1, 0), size, mode, antialias=averaged).movedim(0, 1)


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bilinear-float", *resizing.AVERAGED])
@pytest.mark.parametrize("aspect", [0.0, 4 / 3, 1.0, 0.75])
def test_every_way_is_torchvisions(shape, interpolation, aspect):
    clip = torch.randint(
        0, 256, (3, 4, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    found = resizing.resize(clip, 48, aspect, interpolation)
    size = {0.0: [48], 4 / 3: [48, 64], 1.0: [48, 48], 0.75: [64, 48]}[aspect]
    given = clip.float() if interpolation == "bilinear-float" else clip
    expected = theirs(given, size, interpolation)
    assert found.dtype == (torch.float32 if interpolation == "bilinear-float" else torch.uint8)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 if found.is_floating_point() else 0)


def test_the_ways_differ_where_frames_shrink():
    clip = torch.randint(0, 256, (3, 1, 96, 96), dtype=torch.uint8)
    plain, smooth = (resizing.resize(clip, 24, 0.0, how).float() for how in ("bilinear", "antialias"))
    assert plain.std() > 2 * smooth.std()


def test_frames_of_the_right_size_stay_as_they_are():
    clip = torch.randint(0, 256, (3, 2, 48, 64), dtype=torch.uint8)
    for aspect in (0.0, 4 / 3):
        assert torch.equal(resizing.resize(clip, 48, aspect, "bilinear"), clip)
        assert torch.equal(resizing.resize(clip, 48, aspect, "bilinear-float"), clip.float())


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "noise.mkv"
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 54, "yuv444p"
        for _ in range(50):
            frame = random.integers(0, 256, (54, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("start", "frames", "step"), [(0, 45, 1), (10, 12, 3), (0, 70, 1)])
def test_a_video_is_read_piece_by_piece_as_at_once_and_looped(noise, start, frames, step, monkeypatch):
    """More frames than are held at their own size at once."""
    monkeypatch.setattr(resizing, "_BYTES", 0)
    own = read_clip(noise, start, frames, fps=25.0, short_side=None, step=step)
    found = resizing.read_resized(
        noise, start, frames, fps=25.0, short_side=32, aspect=0.0, interpolation="bilinear", step=step
    )
    assert torch.equal(found, theirs(own, [32]))


def test_a_file_that_breaks_off_is_refused_as_a_whole_however_it_is_read(make_video, monkeypatch):
    monkeypatch.setattr(resizing, "_BYTES", 0)
    path = make_video("clip.avi", "mpeg4", "yuv420p", frames=100, g="12", b="500000")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    left = length(path, fps=25.0)
    assert 32 < left < 80
    how = {"fps": 25.0, "short_side": 32, "aspect": 0.0, "interpolation": "bilinear"}
    assert resizing.read_resized(path, 0, left, **how).shape[1] == left
    with pytest.raises(UnreadableVideoError, match=f"breaks off after {left} of 90 frames"):
        resizing.read_resized(path, 0, 90, **how)


def test_small_frames_are_read_at_once(noise, monkeypatch):
    """Each reading decodes from the keyframe before it, so that several would decode much twice."""
    readings = []
    real = resizing.read_clip
    monkeypatch.setattr(
        resizing, "read_clip", lambda *given, **said: readings.append(given) or real(*given, **said)
    )
    how = {"fps": 25.0, "short_side": 32, "aspect": 0.0, "interpolation": "bilinear"}
    assert resizing.read_resized(noise, 0, 50, **how).shape[1] == 50
    assert len(readings) == 1


@pytest.mark.parametrize(
    ("clips", "shape"),
    [
        (Clips(short_side=32, crop=32, aspect=4 / 3), (3, 5, 32, 43)),
        (Clips(short_side=32, crop=32, aspect=4 / 3, interpolation="bilinear"), (3, 5, 32, 43)),
        (Clips(short_side=32, crop=32, interpolation="antialias"), (3, 5, 32, 56)),
        (Clips(short_side=32, crop=32), (3, 5, 32, 57)),
    ],
)
def test_settings_choose_shape_and_way(noise, clips, shape):
    clip = RGBFrames.of(clips).read(VideoFile(noise), 0, 5)
    assert clip.shape == shape
    whole = read_clip(noise, 0, 5, fps=25.0, short_side=None)
    if clips.interpolation != "ffmpeg":
        assert torch.equal(clip, resizing.resize(whole, 32, clips.aspect, clips.interpolation))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"aspect": -1}, r"clips\.aspect is -1, but must be a number of at least 0 and at most 10"),
        ({"aspect": "wide"}, r"clips\.aspect is 'wide', but must be a number"),
        ({"interpolation": "bicubic"}, r"must be ffmpeg, bilinear, .* or antialias-bicubic"),
        (
            {"views": "10x2"},
            r"clips\.views is '10x2', but must be 'whole', or clips x squares of each \(1 or 3\)",
        ),
        ({"views": "0x1"}, r"clips\.views is '0x1'"),
        ({"views": "3"}, r"clips\.views is '3'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Clips(**settings)
