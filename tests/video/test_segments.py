"""A segment of a file is read as the same frames would be from a file of their own."""

from __future__ import annotations

import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from numbered import numbered_picture, write

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow.image_folders import FlowImages, one_each
from i3d_lightning.flow.on_device import FlowFromFrames
from i3d_lightning.flow.store import FlowStore
from i3d_lightning.recipe import Flow
from i3d_lightning.video.damage import watched
from i3d_lightning.video.decoding import length, pairs, probe, read_clip
from i3d_lightning.video.file import Segment, VideoFile

FORMATS = {
    "mp4, B-frames": ("clip.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "avi, B-frames": ("clip.avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2", "b": "2000000"}),
    "avi, B-pyramid": ("clip.avi", "libx264", "yuv420p", {"g": "24", "bf": "8", "b_strategy": "0"}),
    "mkv": ("clip.mkv", "libx264", "yuv420p", {"g": "12", "bf": "3"}),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("first", [0, 15, 20, 53])
def test_its_frames_are_those_of_its_time(make_video, numbers, name, first):
    name, codec, pix_fmt, options = FORMATS[name]
    path = make_video(name, codec, pix_fmt, frames=80, **options)
    segment = Segment(first / 25, (first + 20) / 25)
    assert length(path, fps=25.0, segment=segment) == 20
    assert pairs(path, fps=25.0, segment=segment) == 19
    assert probe(path, segment).frames == 20
    inside = list(range(first, first + 20))
    for start, frames in ((0, 20), (7, 5), (19, 1), (15, 12)):  # the last is looped within the segment
        seen = numbers(read_clip(path, start, frames, fps=25.0, short_side=48, segment=segment))
        assert seen == [inside[(start + i) % 20] for i in range(frames)]


def test_times_as_written_are_met_exactly(make_video, numbers):
    """As floats 0.28, 0.56 and 1.16 lie just before or after the moment of a frame."""
    path = make_video("clip.avi", "mpeg4", "yuv420p", frames=80, g="12", b="2000000")
    for frame in (7, 14, 29, 57):
        clip = read_clip(path, 0, 2, fps=25.0, short_side=48, segment=Segment(frame / 25, frame / 25 + 1))
        assert numbers(clip) == [frame, frame + 1]


def test_other_rates_start_at_its_beginning(make_video, numbers):
    path = make_video(frames=80)
    segment = Segment(0.5, 1.7)
    slow = numbers(read_clip(path, 0, 15, fps=12.5, short_side=48, segment=segment))
    assert length(path, fps=12.5, segment=segment) == 15
    assert slow == [12 + 2 * i for i in range(15)]  # at 0.5 s the frame of 0.48 s is on display
    fast = numbers(read_clip(path, 0, 60, fps=50.0, short_side=48, segment=segment))
    assert fast == [12 + (i + 1) // 2 for i in range(60)]


def test_beyond_the_end_it_is_refused_but_for_rounding(make_video, numbers):
    path = make_video(frames=50)
    assert length(path, fps=25.0, segment=Segment(1.0, 2.2)) == 25  # clipped to what is there
    for segment in (Segment(1.0, 2.3), Segment(2.0, 2.1), Segment(7.0, 9.0)):
        with pytest.raises(UnreadableVideoError, match=r"ends after 2 s, but its segment from"):
            length(path, fps=25.0, segment=segment)


def test_one_of_a_single_frame_has_no_flow_and_says_which(make_video):
    path = make_video(frames=50)
    with pytest.raises(
        UnreadableVideoError, match=r"^The segment of \S* from 1 to 1.04 s has a single frame"
    ):
        pairs(path, fps=25.0, segment=Segment(1.0, 1.04))


def test_what_a_file_lacks_elsewhere_is_no_damage_of_it(make_video, numbers):
    path = make_video("clip.avi", "mpeg4", "yuv420p", frames=100, g="1", b="2000000")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with watched() as whole:
        probe(path)
    assert whole.damage is not None
    with watched() as seen:
        clip = read_clip(path, 0, 20, fps=25.0, short_side=48, segment=Segment(0.2, 0.6))
    assert numbers(clip) == [5 + i % 10 for i in range(20)]
    assert seen.damage is None


def test_contents_differ_by_file_and_time(make_video, tmp_path):
    path = make_video(frames=50)
    shutil.copy(path, tmp_path / "copy.mkv")
    one, same = (VideoFile(p, segment=Segment(0.4, 1.2)) for p in (path, tmp_path / "copy.mkv"))
    assert one.content == same.content
    assert (
        len({one.content, VideoFile(path).content, VideoFile(path, segment=Segment(0.4, 1.24)).content}) == 3
    )
    assert len(bytes.fromhex(one.content)) == 32
    assert (str(Segment(0.4, 12.0)), str(Segment(1e-05, 3.0))) == ("t=0.4,12", "t=1e-05,3")


def test_its_flow_is_that_of_a_file_of_its_own(make_video, tmp_path):
    settings = Flow(scales=1, warps=1, inner_iterations=3, outer_iterations=1)
    store = FlowStore(tmp_path / "flow", settings, 25.0, 48)
    whole, alone = make_video(frames=40), tmp_path / "alone.mkv"
    write(alone, [numbered_picture(n) for n in range(10, 25)], "ffv1", "bgr0", Fraction(25), None, {}, {})
    files = [
        VideoFile.of(alone),
        *(VideoFile(whole, segment=s) for s in (Segment(0.4, 1.0), Segment(0.0, 0.6))),
    ]
    assert store.compute(files, workers=1, progress=False) == {}
    assert store.missing(files) == []
    cut, part, other = (store.read(file, 0, 20) for file in files)
    assert [store.length(file) for file in files] == [14, 14, 14]
    assert torch.equal(cut, part)
    assert not torch.equal(cut, other)
    to_come = [FlowFromFrames(25.0, 48).read(file, 3, 6).frames for file in files]
    assert torch.equal(to_come[0], to_come[1])
    assert not np.array_equal(to_come[0], to_come[2])


def test_flow_images_are_of_whole_files(make_video, tmp_path):
    part = VideoFile(make_video(frames=40), segment=Segment(0.4, 1.0))
    with pytest.raises(InputError, match="Flow images are of whole files"):
        one_each([part], "images")
    with pytest.raises(InputError, match="have flow computed"):
        FlowImages(tmp_path, 25.0, 48).length(part)
