"""Videos that are shown otherwise than they are stored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import numbered_picture

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.decoding import probe, read_clip
from i3d_lightning.video.frames import Orientation

TURNS = {0: 0, 90: 1, 180: 2, -90: 3}
"""Degrees counterclockwise -> quarters of a turn."""


def write(path: Path, degrees: float = 0, mirrored: bool = False) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.height, stream.width = numbered_picture(0).shape[:2]
        stream.pix_fmt = "rgb24"
        if mirrored:
            stream.set_display_matrix([-(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30])
        elif degrees:
            stream.set_display_rotation(degrees)
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 25), number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("degrees", TURNS)
def test_videos_of_phones_stand_upright(tmp_path, degrees):
    path = tmp_path / "phone.mov"
    write(path, degrees)
    expected = np.stack([np.rot90(numbered_picture(n), TURNS[degrees]) for n in (1, 2)])
    clip = read_clip(path, 1, 2, fps=25.0, short_side=48)
    np.testing.assert_array_equal(clip.permute(1, 2, 3, 0).numpy(), expected)
    info = probe(path)
    assert (info.height, info.width) == expected.shape[1:3] == ((80, 48) if degrees % 180 else (48, 80))


def test_the_mirrored_picture_of_a_front_camera_is_turned_back(tmp_path):
    path = tmp_path / "selfie.mov"
    write(path, mirrored=True)
    clip = read_clip(path, 3, 1, fps=25.0, short_side=48)
    np.testing.assert_array_equal(clip[:, 0].permute(1, 2, 0).numpy(), numbered_picture(3)[:, ::-1])


def test_an_odd_angle_is_rounded_to_a_quarter(tmp_path):
    path = tmp_path / "tilted.mov"
    write(path, 80)
    assert probe(path).height == 80
    write(path, 10)
    assert probe(path).height == 48


def test_an_image_is_turned_as_the_words_say():
    image = np.arange(6).reshape(2, 3, 1)
    assert Orientation().upright(image)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert Orientation(transposed=True).upright(image)[..., 0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert Orientation(up_down=True).upright(image)[..., 0].tolist() == [[3, 4, 5], [0, 1, 2]]


def join(tmp_path: Path, *sizes: tuple[int, int]) -> Path:
    """Write frames of several sizes one after the other."""
    path = tmp_path / "joined.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], "yuvj420p"
        for number, (width, height) in enumerate(sizes):
            coder = av.CodecContext.create("mjpeg", "w")
            coder.width, coder.height, coder.pix_fmt = width, height, "yuvj420p"
            coder.time_base = Fraction(1, 25)
            grey = np.full((height, width, 3), 60 * (number + 1), np.uint8)
            for time in range(5 * number, 5 * number + 5):
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.time_base, frame.pts = Fraction(1, 25), time
                for packet in coder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    return path


def test_frames_that_grow_in_mid_stream_are_resized_alike(tmp_path):
    clip = read_clip(join(tmp_path, (64, 48), (128, 96)), 0, 10, fps=25.0, short_side=48)
    assert clip.shape == (3, 10, 48, 64)
    assert [round(v / 60) for v in clip.float().mean((0, 2, 3)).tolist()] == 5 * [1] + 5 * [2]


def test_frames_that_change_shape_in_mid_stream_are_refused(tmp_path):
    path = join(tmp_path, (64, 48), (48, 64))
    with pytest.raises(UnreadableVideoError, match="changes from 64x48 to 48x64 px in mid-stream"):
        read_clip(path, 0, 10, fps=25.0, short_side=48)
