"""Which part of a video a training clip shows: random, but a function of where in training it is drawn.

No state is kept, so a resumed run sees the clips that an undisturbed one would have seen, and the
number of data-loading processes changes nothing.
"""

from __future__ import annotations

import hashlib

import torch


def draw_generator(seed: int, draw: int, video: str) -> torch.Generator:
    """Make the source of all randomness of one training clip.

    Args:
        seed: Seed of the experiment.
        draw: Number of the clip in the whole run, from 0.
        video: Id of the video.
    """
    state = hashlib.sha256(f"{seed}/{draw}/{video}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(state[:8], "little", signed=True))


def random_start(length: int, frames: int, generator: torch.Generator) -> int:
    """Draw the first frame of a clip in a video of `length` frames; in a shorter one it is the first."""
    return int(torch.randint(max(1, length - frames + 1), (), generator=generator))


def centre_start(length: int, frames: int) -> int:
    """Find the first frame of the clip in the middle of a video."""
    return max(0, length - frames) // 2


def spread_starts(length: int, frames: int, clips: int) -> list[int]:
    """Find the first frames of clips at equal distances, of which the first begins and the last ends a video.

    A single clip lies in the middle.
    """
    if clips == 1:
        return [centre_start(length, frames)]
    return [max(0, length - frames) * clip // (clips - 1) for clip in range(clips)]


def permutation(items: int, seed: int, pass_: int) -> list[int]:
    """Draw the order in which one pass over the training videos shows them."""
    return torch.randperm(items, generator=draw_generator(seed, pass_, "order")).tolist()
