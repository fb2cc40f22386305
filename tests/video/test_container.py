"""What is opened as a video, and what is not."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.damage import watched
from i3d_lightning.video.decoding import length, pairs, probe, read_clip


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableVideoError) as error:
        read_clip(path, 0, 4, fps=25.0, short_side=32)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "playlist"),
    [
        ("clip.mp4", "ffconcat version 1.0\nfile secret.ts\n"),
        ("clip.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_playlist_does_not_open_its_neighbours(tmp_path, make_video, name, playlist):
    make_video("secret.ts", "libx264", "yuv420p", frames=5)
    path = tmp_path / name
    path.write_text(playlist)
    with av.open(str(path)) as container:
        assert container.streams.video  # as it would be without us
    assert "holds no video in a format that is read here" in refusal(path)


@pytest.mark.parametrize("name", ["song.mp3", "song.mp4"])
def test_the_cover_of_music_is_no_video(tmp_path, name):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3" if name.endswith("3") else "aac", rate=44100, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate, silence.time_base = 44100, Fraction(1, 44100)
        for number in range(9):
            silence.pts = 1024 * number
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert "holds no video" in refusal(path)


def test_a_title_in_another_alphabet(make_video, numbers):
    """Old AVI files bear titles in Latin-1."""
    path = make_video("clip.avi", "mpeg4", "yuv420p", frames=12)
    content = path.read_bytes()
    name = b"INAM" + (8).to_bytes(4, "little") + "Café au".encode("latin-1") + b"\0"
    info = b"LIST" + (4 + len(name)).to_bytes(4, "little") + b"INFO" + name
    place = content.index(b"LIST", content.index(b"movi") - 12)
    changed = bytearray(content[:place] + info + content[place:])
    changed[4:8] = (len(changed) - 8).to_bytes(4, "little")
    path.write_bytes(changed)
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert numbers(read_clip(path, 3, 5, fps=25.0, short_side=48)) == [3, 4, 5, 6, 7]


def test_a_name_in_another_alphabet(make_video, numbers):
    path = make_video(frames=3)
    path = path.rename(path.with_name(os.fsdecode(b"caf\xe9.mkv")))
    assert numbers(read_clip(path, 0, 3, fps=25.0, short_side=48)) == [0, 1, 2]


def test_an_unknown_coding(make_video):
    path = make_video("clip.avi", "mpeg4", "yuv420p", frames=12)
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"zzzz"))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context is None
    assert "in a coding that FFmpeg does not know" in refusal(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("one.mkv", "ffv1", "bgr0"), ("one.mp4", "libx264", "yuv420p")]
)
def test_a_video_of_one_frame_is_whole(make_video, numbers, name, codec, pix_fmt):
    path = make_video(name, codec, pix_fmt, frames=1)
    with watched() as seen:
        assert numbers(read_clip(path, 0, 4, fps=25.0, short_side=48)) == [0, 0, 0, 0]
    assert seen.damage is None
    assert (probe(path).frames, length(path, fps=25.0)) == (1, 1)
    with pytest.raises(UnreadableVideoError, match="single frame"):
        pairs(path, fps=25.0)


@pytest.mark.parametrize(("width", "height"), [(4096, 16), (16, 4096), (16384, 16)])
def test_a_strip_is_refused(tmp_path, width, height):
    path = tmp_path / "strip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        container.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24"))
        )
        container.mux(stream.encode(None))
    assert f"has frames of {width}x{height} px, which no real video has" in refusal(path)


def test_hours_between_two_frames_are_refused(make_video):
    path = make_video("gap.mkv", frames=2, times=[0, 25 * 36000])
    assert path.stat().st_size < 2000
    for read in (lambda: length(path, fps=25.0), lambda: pairs(path, fps=25.0), lambda: probe(path)):
        with pytest.raises(UnreadableVideoError, match=r"lasts 72000 s and shows one frame for 36000 s"):
            read()


def test_a_clock_that_starts_again_is_not_taken_for_one_video(tmp_path, make_video):
    """Else the second part would be laid over the first."""
    parts = [make_video(f"{n}.ts", "libx264", "yuv420p", frames=30, g="12").read_bytes() for n in (1, 2)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    assert "starts again in mid-stream" in refusal(path)


def test_slides_that_stay_for_minutes_are_read(make_video, numbers):
    path = make_video("slides.mkv", frames=3, times=[0, 25 * 300, 25 * 600])
    assert length(path, fps=1.0) == 900
    assert numbers(read_clip(path, 290, 20, fps=1.0, short_side=48)) == 10 * [0] + 10 * [1]


def test_more_frames_at_once_than_memory_holds_are_refused(make_video):
    path = make_video("long.mkv", frames=3, times=[0, 25 * 300, 25 * 600])
    with pytest.raises(UnreadableVideoError, match="would take more than 4 GiB as 22500 frames"):
        read_clip(path, 0, 22500, fps=25.0, short_side=256)
