"""Class activation maps: what each place in time and space adds to a class's logit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ActivationMaps:
    """The logits that the last layer gives of each place alone, after Zhou et al., arXiv 1512.04150.

    Places part the clip evenly, in time and space. What a place sees reaches far beyond it (99 frames and
    the whole square in I3D), and is centred a little later and further to the right and down, since "SAME"
    padding is: of I3D at 224 px by 1.5 frames and 7.5 px.

    Attributes:
        labels: The classes (k).
        maps: Their logits at each place, `k t h w`.
        shares: The share of each place in the logits, `t h w`; they sum to 1.
        logits: Of the part of the video that is seen: `(maps * shares).sum((1, 2, 3))`.
        probabilities: Of that part (k), among all classes.
        frames: What of the video the maps lie over, `3 n h w`, in [0, 255]: RGB, whatever the network sees.
        seconds: How long that part is, from the video's first frame.
    """

    labels: tuple[str, ...]
    maps: Tensor
    shares: Tensor
    logits: Tensor
    probabilities: Tensor
    frames: Tensor
    seconds: float
