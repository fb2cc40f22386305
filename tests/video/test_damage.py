"""Damaged videos are read as far as they go, and never without a word."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from fractions import Fraction

import broken
import numpy as np
import pytest

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.damage import Damage, note, watched
from i3d_lightning.video.decoding import length, probe, read_clip

FORMATS = {
    "clip.mp4": ("libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "clip.avi": ("mpeg4", "yuv420p", {"g": "12", "b": "2000000"}),
    "clip.webm": ("libvpx", "yuv420p", {"g": "15", "b": "1000000"}),
    "clip.mkv": ("libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "clip.gif": ("gif", "rgb8", {}),
    "clip.ts": ("libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "clip.flv": ("flv1", "yuv420p", {}),
    "clip.wmv": ("wmv2", "yuv420p", {}),
    "clip.mpg": ("mpeg2video", "yuv420p", {}),
}


def test_the_worst_is_kept_inside_and_outside():
    with watched() as outer:
        note(90, 100)
        with watched() as inner:
            note(28, 139)
        note(50, 100)
    note(1, 100)
    assert inner.damage == outer.damage == Damage(28, 139)
    assert str(outer.damage) == "28 of 139 frames"
    with watched() as sound:
        pass
    assert sound.damage is None


@pytest.fixture
def video(make_video):
    def make(name, frames=48):
        codec, pix_fmt, options = FORMATS[name]
        container = {"movflags": "faststart"} if name.endswith("mp4") else {}
        return make_video(name, codec, pix_fmt, frames=frames, container=container, **options)

    return make


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_video_has_no_damage(video, name):
    path = video(name)
    with watched() as seen:
        probe(path)
        for start, frames in ((0, 48), (17, 9), (40, 30)):
            read_clip(path, start, frames, fps=25.0, short_side=24)
    assert seen.damage is None


def test_real_clips_have_no_damage(assets):
    videos = sorted((assets / "ucf101" / "videos").glob("*/*.avi"))[::8]
    for path in [*videos, *sorted((assets / "clips").glob("*.[mg]*"))]:
        with watched() as seen:
            read_clip(path, 0, length(path, fps=25.0), fps=25.0, short_side=32)
        assert seen.damage is None, path


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.webm", "clip.flv"])
def test_what_is_cut_off_is_counted(video, name):
    path = video(name, frames=100)
    os.truncate(path, path.stat().st_size // 2)
    with watched() as seen:
        left = length(path, fps=25.0)
        read_clip(path, 0, left, fps=25.0, short_side=48)
    assert seen.damage is not None
    assert seen.damage.of == pytest.approx(100, abs=1)
    assert left - 2 <= seen.damage.read <= left < 80


def test_frames_that_are_flagged_are_counted_where_they_are_wanted(video):
    path = video("clip.avi", frames=48)
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    content[place : place + 40] = np.random.default_rng(0).bytes(40)
    path.write_bytes(content)
    with watched() as seen:
        read_clip(path, 0, 48, fps=25.0, short_side=48)
    assert seen.damage is not None
    assert 24 <= seen.damage.read < 48
    with watched() as seen:
        read_clip(path, 0, 4, fps=25.0, short_side=48)
    assert seen.damage is None


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_is_damaged_is_read_or_named(video, name):
    path = video(name, frames=30)
    content = path.read_bytes()
    outcomes: Counter[tuple[str, str]] = Counter()
    for seed in range(24):
        kind, changed = broken.damaged(content, seed)
        path.write_bytes(changed)
        try:
            with watched() as seen:
                probe(path)
                frames = min(length(path, fps=25.0), 250)
                clip = read_clip(path, 0, frames, fps=25.0, short_side=24)
            assert clip.shape[:2] == (3, frames)
            outcomes[kind, "partly" if seen.damage else "read"] += 1
        except UnreadableVideoError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            outcomes[kind, "named"] += 1
    assert outcomes.total() == 24
    if name == "clip.mp4":
        assert not outcomes["end", "read"]  # its header says how many frames there are


def test_an_edited_video_lacks_nothing(assets, tmp_path):
    """MP4 lists of edits cut frames off that are still stored and counted."""
    source = shutil.copyfile(assets / "clips" / "arm_wrestling.mp4", tmp_path / "edited.mp4")
    content = bytearray(source.read_bytes())
    place = content.index(b"elst")
    duration = int.from_bytes(content[place + 12 : place + 16], "big")
    content[place + 12 : place + 16] = (duration // 2).to_bytes(4, "big")
    source.write_bytes(content)
    with watched() as seen:
        whole = length(tmp_path / "edited.mp4", fps=25.0)
        read_clip(tmp_path / "edited.mp4", 0, whole, fps=25.0, short_side=32)
    assert seen.damage is None
    assert Fraction(whole, length(assets / "clips" / "arm_wrestling.mp4", fps=25.0)) < Fraction(9, 10)
