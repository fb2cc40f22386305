"""The median filter as a fixed network of comparisons, the same for every pixel: no branches, no sorting."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

Comparison = tuple[int, int, bool, bool]
"""Two wires, and whether the lesser (kept on the first) and the greater (on the second) are wanted."""


@cache
def network(wires: int) -> tuple[Comparison, ...]:
    """Comparisons after which the middle wire holds the median of an odd number of wires.

    Batcher's odd-even merge sort (1968), without the comparisons that the median does not depend on.
    """
    wanted = {wires // 2}
    kept: list[Comparison] = []
    for low, high in reversed(_odd_even_merge_sort(wires)):
        lesser, greater = low in wanted, high in wanted
        if lesser or greater:
            kept.append((low, high, lesser, greater))
            wanted |= {low, high}
    return tuple(reversed(kept))


def _odd_even_merge_sort(wires: int) -> list[tuple[int, int]]:
    """Pairs of wires to be put in order, one after the other (Knuth, volume 3, 5.2.2, algorithm M)."""
    pairs = []
    top = 1 << max((wires - 1).bit_length() - 1, 0)
    p = top
    while p:
        q, r, d = top, 0, p
        while d:
            pairs += [(i, i + d) for i in range(wires - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return pairs


def median_filter(image: Float32[Tensor, "n h w"], side: int) -> Float32[Tensor, "n h w"]:
    """The median of the square around each pixel; the border is repeated outwards.

    Args:
        image: Any images.
        side: Of the square, odd, in pixels; 1 changes nothing.
    """
    if side == 1:
        return image
    height, width = image.shape[-2:]
    padded = F.pad(image[:, None], [side // 2] * 4, mode="replicate")[:, 0]
    shifts = [(dy, dx) for dy in range(side) for dx in range(side)]
    values = [padded[:, dy : dy + height, dx : dx + width] for dy, dx in shifts]
    for low, high, lesser, greater in network(side * side):
        a, b = values[low], values[high]
        if lesser:
            values[low] = torch.minimum(a, b)
        if greater:
            values[high] = torch.maximum(a, b)
    return values[side * side // 2]
