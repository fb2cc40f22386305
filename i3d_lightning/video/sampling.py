"""Which part of a video a training clip shows: random, but a function of where in training it is drawn.

No state is kept, so a resumed run sees the clips that an undisturbed one would have seen, and the
number of data-loading processes changes nothing.
"""

from __future__ import annotations

import hashlib

import torch


def draw_generator(seed: int, draw: int, video: str) -> torch.Generator:
    """The source of all randomness of one training clip.

    Args:
        seed: Seed of the experiment.
        draw: Number of the clip in the whole run, from 0.
        video: Id of the video.
    """
    state = hashlib.sha256(f"{seed}/{draw}/{video}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(state[:8], "little", signed=True))


def random_start(length: int, frames: int, generator: torch.Generator) -> int:
    """First frame of a clip within a video of `length` frames; a shorter video is looped from its start."""
    return int(torch.randint(max(1, length - frames + 1), (), generator=generator))


def centre_start(length: int, frames: int) -> int:
    """First frame of the clip in the middle of a video."""
    return max(0, length - frames) // 2


def permutation(items: int, seed: int, pass_: int) -> list[int]:
    """The order in which one pass over the training videos draws them."""
    return torch.randperm(items, generator=draw_generator(seed, pass_, "order")).tolist()
