"""Transforms of clips `c t h w` of bytes (or floats as large), each the same for all frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as photometric

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips


def crop(clip: Shaped[Tensor, "c t h w"], top: int, left: int, size: int) -> Shaped[Tensor, "c t size size"]:
    """Cut a square of `size` px out of every frame."""
    return clip[..., top : top + size, left : left + size]


def random_place(shape: torch.Size, size: int, generator: torch.Generator) -> tuple[int, int]:
    """Draw a place, top and left in pixels, for a square of `size` px in every frame of a clip `c t h w`.

    Raises:
        InputError: The frames are smaller than the square.
    """
    rows, columns = _room(shape, size)
    top = int(torch.randint(rows + 1, (), generator=generator))
    left = int(torch.randint(columns + 1, (), generator=generator))
    return top, left


def centre_place(shape: torch.Size, size: int, nearest: bool = False) -> tuple[int, int]:
    """Find the place, top and left in pixels, of a square of `size` px in the middle of a clip's frames.

    Args:
        shape: Of the clip, `c t h w`.
        size: Side of the square, in pixels.
        nearest: Where the middle lies between two pixels, take the even one, as torchvision and pytorchvideo
            do, and not the one before, as transformers does.

    Raises:
        InputError: The frames are smaller than the square.
    """
    rows, columns = _room(shape, size)
    return (round(rows / 2), round(columns / 2)) if nearest else (rows // 2, columns // 2)


def side_places(shape: torch.Size, size: int) -> list[tuple[int, int]]:
    """Find the places of three squares along the longer side of a clip's frames: its ends and its middle.

    They lie as those of SlowFast's tests (https://github.com/facebookresearch/SlowFast, `uniform_crop`).

    Raises:
        InputError: The frames are smaller than the square.
    """
    rows, columns = _room(shape, size)
    top, left = -(-rows // 2), -(-columns // 2)
    if shape[-2] > shape[-1]:
        return [(0, left), (top, left), (rows, left)]
    return [(top, 0), (top, left), (top, columns)]


def _room(shape: torch.Size, size: int) -> tuple[int, int]:
    height, width = shape[-2:]
    if min(height, width) < size:
        raise InputError(
            f"A crop of {size} px does not fit into frames of {width}x{height} px: "
            f"set clips.crop to at most clips.short_side."
        )
    return height - size, width - size


def flip(clip: Shaped[Tensor, "*b c t h w"]) -> Shaped[Tensor, "*b c t h w"]:
    """Mirror every RGB frame from left to right."""
    return clip.flip(-1)


def flip_flow(clip: UInt8[Tensor, "*b 2 t h w"]) -> UInt8[Tensor, "*b 2 t h w"]:
    """Mirror every flow field from left to right: what moved right now moves left."""
    mirrored = clip.flip(-1)
    horizontal = mirrored.select(-4, 0)
    horizontal.copy_(255 - horizontal)
    return mirrored


def mirror(clip: Shaped[Tensor, "b c t h w"]) -> Shaped[Tensor, "b c t h w"]:
    """Mirror a batch of clips from left to right, RGB (3 channels) or flow (2 channels)."""
    return flip_flow(clip) if clip.shape[1] == 2 else flip(clip)


def photometric_jitter(
    clip: Shaped[Tensor, "3 t h w"], strength: float, generator: torch.Generator
) -> Shaped[Tensor, "3 t h w"]:
    """Change brightness, contrast and saturation of a whole RGB clip at random.

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
    if floating := frames.is_floating_point():
        frames = frames / 255
    frames = photometric.adjust_brightness(frames, brightness)
    frames = photometric.adjust_contrast(frames, contrast)
    frames = photometric.adjust_saturation(frames, saturation)
    return frames.movedim(1, 0) * (255 if floating else 1)


def grey(rgb: UInt8[Tensor, "*b 3 t h w"]) -> UInt8[Tensor, "*b t h w"]:
    """Compute the brightness of every frame (ITU-R BT.601), on which flow is computed; on any device."""
    red, green, blue = rgb.to(torch.int32).unbind(-4)
    # 0.299, 0.587 and 0.114 in 15 bits, rounded, as OpenCV converts
    return ((9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15).to(torch.uint8)


def normalise(clip: Shaped[Tensor, "b c t h w"], clips: Clips) -> Float[Tensor, "b c t h w"]:
    """Turn a batch of clips of bytes, or of floats as large, into what networks take.

    Args:
        clip: RGB (3 channels), or quantised flow (2 channels), which becomes flow / bound.
        clips: Holds the mean and the standard deviation of RGB in [0, 1], channel by channel.
    """
    is_flow = clip.shape[1] == 2
    mean, std = ((0.5,), (0.5,)) if is_flow else (clips.mean, clips.std)
    scale = _over_channels([255 * s for s in std], clip.device)
    shift = _over_channels([m / s for m, s in zip(mean, std, strict=True)], clip.device)
    return clip.to(torch.float32, copy=True).div_(scale).sub_(shift)


def _over_channels(values: Sequence[float], device: torch.device) -> Tensor | float:
    """Give a number where channels share it: GPUs divide by a tensor of it with another rounding."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, device=device).view(-1, 1, 1, 1)


def quantise_flow(flow: Float[Tensor, "t 2 h w"], bound: float) -> UInt8[Tensor, "2 t h w"]:
    """Clip flow to ±bound px and store it in 8 bits, as `(value / 255 - 0.5) * 2 * bound` px.

    That is the form of the authors' sample clip (https://github.com/google-deepmind/kinetics-i3d). No
    motion, 127.5, falls between two values and becomes 128, which reads as bound / 255: 0.08 px for
    the paper's 20 px, or 0.004 of what a network sees.
    """
    return (flow / bound).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).movedim(1, 0)
