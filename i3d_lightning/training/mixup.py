"""Mixup: training on weighted means of two clips and of their labels.

Zhang, Cisse, Dauphin and Lopez-Paz 2018, https://arxiv.org/abs/1710.09412, with one share for all clips that
are mixed together, and each clip's partner drawn among these, as in the authors' code
(https://github.com/facebookresearch/mixup-cifar10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class Mixing(NamedTuple):
    """How clips are mixed.

    Attributes:
        share: Of each clip itself in what it becomes; its partner has the rest.
        partner: The index of each clip's partner, maybe itself (b).
    """

    share: Float[Tensor, ""]
    partner: Int[Tensor, " b"]

    def mixed(self, clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """Mix normalised clips: RGB and flow of a video alike."""
        return torch.lerp(clips[self.partner], clips, self.share)

    def loss(self, of: Callable[[Tensor], Tensor], labels: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """Mix the losses for either label, which is the cross entropy of the mixed labels."""
        return self.share * of(labels) + (1 - self.share) * of(labels[self.partner])

    def heavier(self, labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Give the label of the larger share of each mixed clip."""
        return torch.where(self.share >= 0.5, labels, labels[self.partner])


def draw(alpha: float, clips: int, seed: int, device: torch.device) -> Mixing:
    """Draw how clips are mixed, from the seed alone.

    Args:
        alpha: Shares are distributed as Beta(alpha, alpha).
        clips: How many there are.
        seed: Another for every draw.
        device: Where they are.
    """
    random = np.random.default_rng(seed)
    share = torch.tensor(random.beta(alpha, alpha), dtype=torch.float32, device=device)
    return Mixing(share, torch.from_numpy(random.permutation(clips)).to(device))
