"""Transforms of uint8 clips `c t h w`, each the same for all frames of a clip.

Both streams are stored in 8 bits, so that one formula prepares either for a network: RGB becomes
[-1, 1], and flow, quantised from [-bound, bound] px, becomes flow / bound.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as photometric

from i3d_lightning.plan import InputError


def crop(clip: UInt8[Tensor, "c t h w"], top: int, left: int, size: int) -> UInt8[Tensor, "c t size size"]:
    """Cuts a square of `size` px out of every frame."""
    return clip[..., top : top + size, left : left + size]


def random_place(shape: torch.Size, size: int, generator: torch.Generator) -> tuple[int, int]:
    """A random place, top and left in pixels, for a square of `size` px in every frame of a clip `c t h w`.

    Raises:
        InputError: The frames are smaller than the square.
    """
    rows, columns = _room(shape, size)
    top = int(torch.randint(rows + 1, (), generator=generator))
    left = int(torch.randint(columns + 1, (), generator=generator))
    return top, left


def centre_place(shape: torch.Size, size: int) -> tuple[int, int]:
    """The place, top and left in pixels, of a square of `size` px in the middle of a clip's frames.

    Raises:
        InputError: The frames are smaller than the square.
    """
    rows, columns = _room(shape, size)
    return rows // 2, columns // 2


def _room(shape: torch.Size, size: int) -> tuple[int, int]:
    height, width = shape[-2:]
    if min(height, width) < size:
        raise InputError(
            f"A crop of {size} px does not fit into frames of {width}x{height} px: "
            f"set clips.crop to at most clips.short_side."
        )
    return height - size, width - size


def flip(clip: UInt8[Tensor, "c t h w"]) -> UInt8[Tensor, "c t h w"]:
    """Mirrors every RGB frame from left to right."""
    return clip.flip(-1)


def flip_flow(clip: UInt8[Tensor, "2 t h w"]) -> UInt8[Tensor, "2 t h w"]:
    """Mirrors every flow field from left to right: what moved right now moves left."""
    mirrored = clip.flip(-1)
    mirrored[0] = 255 - mirrored[0]
    return mirrored


def photometric_jitter(
    clip: UInt8[Tensor, "3 t h w"], strength: float, generator: torch.Generator
) -> UInt8[Tensor, "3 t h w"]:
    """Changes brightness, contrast and saturation of a whole RGB clip at random.

    Args:
        clip: RGB frames.
        strength: Each is multiplied by a factor drawn uniformly from [1 - strength, 1 + strength].
        generator: Draws the factors.
    """
    brightness, contrast, saturation = (
        (1 + strength * (2 * torch.rand(3, generator=generator, dtype=torch.float64) - 1))
        .clamp(min=0)
        .tolist()
    )
    frames = clip.movedim(0, 1)
    frames = photometric.adjust_brightness(frames, brightness)
    frames = photometric.adjust_contrast(frames, contrast)
    frames = photometric.adjust_saturation(frames, saturation)
    return frames.movedim(1, 0)


def grey(rgb: UInt8[Tensor, "*b 3 t h w"]) -> UInt8[Tensor, "*b t h w"]:
    """The brightness of every frame (ITU-R BT.601), on which flow is computed; on any device."""
    red, green, blue = rgb.to(torch.int32).unbind(-4)
    # 0.299, 0.587 and 0.114 in 15 bits, rounded, as OpenCV converts
    return ((9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15).to(torch.uint8)


def normalise(clip: UInt8[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
    """Maps 0..255 to [-1, 1]: RGB as the published networks want it, flow as flow / bound."""
    return clip.to(torch.float32, copy=True).div_(127.5).sub_(1)


def quantise_flow(flow: Float[Tensor, "t 2 h w"], bound: float) -> UInt8[Tensor, "2 t h w"]:
    """Clips flow to ±bound px and stores it in 8 bits, as `(value / 255 - 0.5) * 2 * bound` px.

    That is the form of the authors' sample clip (https://github.com/google-deepmind/kinetics-i3d). No
    motion, 127.5, falls between two values and becomes 128, which reads as bound / 255: 0.08 px for
    the paper's 20 px, or 0.004 of what a network sees.
    """
    return (flow / bound).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).movedim(1, 0)
