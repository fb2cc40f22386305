"""Windows over a video: which there are, and that each sees its own frames however they are read."""

from __future__ import annotations

import threading

import pytest
import torch

from i3d_lightning.features import windows as windows_
from i3d_lightning.features.windows import Sliding, Windows, ahead


@pytest.mark.parametrize(
    ("clip", "step", "length", "starts"),
    [
        (4, 2, 9, [0, 2, 4]),
        (4, 2, 10, [0, 2, 4, 6]),
        (4, 4, 4, [0]),
        (4, 6, 17, [0, 6, 12]),
        (4, 1, 3, [0]),
    ],
)
@pytest.mark.parametrize("stretch", [1, 3, 5, 100])
@pytest.mark.parametrize("at_once", [1, 2, 50])
def test_each_window_sees_its_own_frames(clip, step, length, starts, stretch, at_once, monkeypatch):
    monkeypatch.setattr(windows_, "STRETCH", stretch)
    windows = Windows(clip, step, length, loops=True)
    assert len(windows) == len(starts)
    frames = torch.arange(length)[None, :, None, None]
    sliding, found, read, kept = Sliding(windows, at_once), [], [], 0
    for start, count in windows.stretches():
        assert count <= stretch
        read += range(start, start + count)
        for some in sliding.add(start, frames[:, start : start + count]):
            assert len(some) <= at_once
            found += some[:, 0, :, 0, 0].tolist()
        kept = max(kept, sliding._kept.shape[1])
    assert found == [[(start + i) % length for i in range(clip)] for start in starts]
    assert read == sorted(set(read))  # each frame once
    assert kept <= max(clip, stretch)


def test_windows_that_follow_one_another_are_read_together():
    """Each stretch costs the decoding of what lies before it, back to a keyframe."""
    assert list(Windows(64, 64, 640, loops=False).stretches()) == [(0, 512), (512, 128)]


def test_a_video_shorter_than_a_window_may_have_none():
    assert len(Windows(4, 2, 3, loops=False)) == 0
    assert list(Windows(4, 2, 3, loops=False).stretches()) == []


def test_reading_ahead_keeps_the_order_and_raises_what_it_meets():
    def items():
        yield from range(5)
        raise KeyError("broken")

    found = []
    with pytest.raises(KeyError, match="broken"):
        for item in ahead(items()):
            found.append(item)
    assert found == [0, 1, 2, 3, 4]


def test_reading_ahead_ends_with_whoever_reads():
    given = []

    def items():
        for item in range(1000):
            given.append(item)
            yield item

    for item in ahead(items()):
        if item == 3:
            break
    threads = [t for t in threading.enumerate() if t.name == "reading ahead"]
    for thread in threads:
        thread.join(5)
    assert not any(t.is_alive() for t in threads)
    assert len(given) < 10
