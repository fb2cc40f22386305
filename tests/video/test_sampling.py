from __future__ import annotations

from collections import Counter

import pytest
import torch

from i3d_lightning.video.sampling import centre_start, draw_generator, permutation, random_start


def numbers(*key):
    return torch.rand(4, generator=draw_generator(*key)).tolist()


def test_a_draw_depends_on_seed_number_and_video():
    reference = numbers(0, 7, "v")
    torch.rand(3)  # nothing else drawn matters
    assert numbers(0, 7, "v") == reference
    others = [numbers(1, 7, "v"), numbers(0, 8, "v"), numbers(0, 7, "w")]
    assert len({tuple(n) for n in [reference, *others]}) == 4


def test_starts_are_uniform_over_the_video():
    starts = Counter(random_start(20, 16, draw_generator(0, draw, "v")) for draw in range(2000))
    assert sorted(starts) == [0, 1, 2, 3, 4]
    assert all(320 < count < 480 for count in starts.values())


@pytest.mark.parametrize("length", [1, 15, 16])
def test_a_video_no_longer_than_the_clip_starts_at_its_beginning(length):
    assert random_start(length, 16, draw_generator(0, 0, "v")) == 0


@pytest.mark.parametrize(("length", "frames", "start"), [(10, 4, 3), (11, 4, 3), (4, 4, 0), (3, 9, 0)])
def test_centre(length, frames, start):
    assert centre_start(length, frames) == start


def test_every_pass_draws_every_video_once_in_its_own_order():
    first, second = permutation(50, 0, 0), permutation(50, 0, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first == permutation(50, 0, 0) != permutation(50, 1, 0)
