"""Views of a video at test: which frames and squares they show, and what is made of their logits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from i3d_lightning.datasets.clips import RGBFrames, WholeVideos
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.recipe import Clips
from i3d_lightning.training.streams import of_whole_videos
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.sampling import spread_starts

CLIPS = Clips(fps=25.0, short_side=32, crop=24, train_frames=5, test_frames=10)


@pytest.fixture
def video(tiny_ucf):
    """One of 12 frames, 40x32 px."""
    return read_dataset("ucf101", tiny_ucf, 1).test[0]


def seen(video, clips):
    return WholeVideos([video], [RGBFrames.of(clips)], clips)[0]["clips"][0]


@pytest.mark.parametrize(
    ("length", "frames", "clips", "starts"),
    [
        (12, 5, 1, [3]),
        (12, 5, 3, [0, 3, 7]),
        (12, 5, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (12, 12, 2, [0, 0]),
        (4, 5, 3, [0, 0, 0]),
        (300, 16, 5, [0, 71, 142, 213, 284]),
    ],
)
def test_the_first_clip_begins_and_the_last_ends_a_video(length, frames, clips, starts):
    assert spread_starts(length, frames, clips) == starts


@pytest.mark.parametrize(
    ("views", "starts", "lefts"),
    [("1x1", [3], [8]), ("5x1", [0, 1, 3, 5, 7], [8]), ("10x3", [7 * i // 9 for i in range(10)], [0, 8, 16])],
)
def test_a_long_video_is_seen_in_clips_and_squares(video, views, starts, lefts):
    whole = read_clip(video.path, 0, 12, fps=25.0, short_side=32)
    assert whole.shape == (3, 12, 32, 40)
    expected = [whole[:, start : start + 5, 4:28, left : left + 24] for start in starts for left in lefts]
    assert torch.equal(seen(video, replace(CLIPS, views=views)), torch.cat(expected, dim=1))


def test_a_short_video_is_looped_in_each_of_its_views(video):
    clips = replace(CLIPS, train_frames=16, views="2x1")
    looped = read_clip(video.path, 0, 16, fps=25.0, short_side=32)[..., 4:28, 8:32]
    assert torch.equal(looped[:, 12:], looped[:, :4])
    assert torch.equal(seen(video, clips), torch.cat([looped, looped], dim=1))


def test_whole_videos_are_as_before(video):
    whole = read_clip(video.path, 0, 12, fps=25.0, short_side=32)
    assert torch.equal(seen(video, CLIPS), whole[:, :10, 4:28, 8:32])


@pytest.mark.parametrize("test_flip", [False, True])
@pytest.mark.parametrize("views", ["1x1", "5x1", "10x3"])
def test_logits_are_the_mean_over_views(video, views, test_flip):
    """Of something that is not linear, so that the order of mean and network matters."""

    def logits(clip):
        return torch.stack(
            [clip.float().amax((1, 2, 3, 4)), clip.float()[..., :3].square().mean((1, 2, 3, 4))], 1
        )

    clips = replace(CLIPS, views=views, test_flip=test_flip)
    count, squares = clips.clips_and_squares
    batch = torch.stack([seen(video, clips)] * 2)
    parts = [batch[:, :, i * 5 : i * 5 + 5] for i in range(count * squares)]
    parts += [part.flip(-1) for part in parts] if test_flip else []
    expected = sum(logits(part) for part in parts) / len(parts)
    torch.testing.assert_close(of_whole_videos(logits, [batch], clips), expected)
