"""Inflation: 2-D Inception-v1 weights made into those of any Inception-v1 here, as a pure function.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.4, "Bootstrapping 3D filters from 2D
filters": an NxN filter is repeated N times along time and divided by N, so that a static ("boring")
video, away from its ends, gives the response that the 2-D network gives to its frame. At the ends the
zeros that pad time take part of the response away.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def inflate(
    images: Mapping[str, Tensor], like: Mapping[str, Tensor], first_layer: str = "mean"
) -> dict[str, Tensor]:
    """The state of an Inception-v1, 3-D or 2-D, from that of a 2-D one.

    Batch normalisation is copied. Where the first layer takes other channels than images have, flow
    instead of red, green and blue, it is adapted.

    Args:
        images: State of `Inception(2)`.
        like: State of the network wanted, which gives names, shapes and what is not taken over.
        first_layer: `mean` gives every new input channel the mean of the image filters, scaled so that
            equal channels give the response they gave before (the "cross-modality" start of
            Temporal Segment Networks, https://arxiv.org/abs/1608.00859, section 3.2, which does not
            scale); `new` leaves filters for other channels, and their normalisation, as they are in
            `like`. Nothing is changed where the channels agree.

    Raises:
        ValueError: A tensor is missing, unexpected, or of a shape that does not inflate.
    """
    theirs = {name.replace("2d_", "3d_") if _is_3d(like) else name: t for name, t in images.items()}
    misfits = [f"{name} is missing" for name in like if name not in theirs]
    misfits += [f"{name} is unexpected" for name in theirs if name not in like]
    if misfits:
        raise ValueError(f"these are no 2-D Inception-v1 weights: {', '.join(misfits)}")
    first = next(iter(like)).rsplit(".", 2)[0]
    keep = (
        first_layer == "new"
        and theirs[f"{first}.conv.weight"].shape[1] != like[f"{first}.conv.weight"].shape[1]
    )
    state = {}
    for name, ours in like.items():
        if keep and name.startswith(f"{first}."):
            state[name] = ours
        else:
            state[name] = _inflated(name, theirs[name], ours.shape)
    return state


def _is_3d(state: Mapping[str, Tensor]) -> bool:
    return any(tensor.ndim == 5 for tensor in state.values())


def _inflated(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """One tensor, its channels adapted and its kernel repeated over time where the shape asks for it."""
    if tensor.ndim == 4 and tensor.shape[1] != shape[1] and name.endswith("1a_7x7.conv.weight"):
        channels = tensor.shape[1]
        tensor = tensor.mean(1, keepdim=True).repeat(1, shape[1], 1, 1) * (channels / shape[1])
    if tensor.ndim == 4 and len(shape) == 5:
        times = shape[2]
        tensor = tensor.unsqueeze(2).repeat(1, 1, times, 1, 1) / times
    if tensor.shape != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
    return tensor.clone()
