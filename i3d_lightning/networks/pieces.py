"""Long clips a piece at a time, with the same result: memory then grows with the piece, not with the clip."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor


def in_pieces(
    stages: Callable[[Tensor], Tensor], clip: Float[Tensor, "b c t h w"], frames: int, reach: int, stride: int
) -> Float[Tensor, "b d s i j"]:
    """What stages padded as "SAME" give for a clip, computed of overlapping pieces of it.

    A piece is lengthened by what its outputs see beyond it, and outputs that saw its end instead of the
    clip's are dropped. "SAME" pads by the length modulo the stride, so all pieces share the clip's.

    Args:
        stages: Convolutions and pools, without statistics of the batch.
        clip: The clip.
        frames: Length of a piece, a multiple of `stride`.
        reach: Frames that an output sees beyond its place, at most.
        stride: Frames between neighbouring outputs.
    """
    length = clip.shape[2]
    margin = ceil(reach / stride) * stride
    found = []
    for first in range(0, length, frames):
        start = max(0, first - margin)
        end = min(length, first + frames + margin + length % stride)
        outputs = stages(clip[:, :, start:end])
        skipped = (first - start) // stride
        found.append(outputs[:, :, skipped : skipped + frames // stride])
    return torch.cat(found, dim=2)
