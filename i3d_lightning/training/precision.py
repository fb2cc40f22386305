"""The precision of computation: float32, or bf16 where the device has instructions for it."""

from __future__ import annotations

from typing import Literal

import torch


def resolve(precision: str) -> str:
    """Give `float32` or `bf16`: what was asked for, or what `auto` comes to on this machine.

    That is bf16 where the device has bf16 matrix instructions.
    """
    if precision != "auto":
        return precision
    return "bf16" if _has_bf16() else "float32"


def lightning_precision(precision: str) -> Literal["32-true", "bf16-mixed"]:
    """Give Lightning's word for a precision."""
    return "bf16-mixed" if resolve(precision) == "bf16" else "32-true"


def describe(precision: str, compile: bool = False) -> str:
    """Say how and where numbers are computed, for people."""
    precision = resolve(precision)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    why = ", which has no bf16 instructions" if precision == "float32" and not _has_bf16() else ""
    more = ", training steps compiled (the first takes minutes)" if compile else ""
    return f"in {precision} on {device}{why}{more}"


def forbid_tf32(precision: str) -> None:
    """Keep float32 from being rounded to TF32 in convolutions, which is PyTorch's default on GPUs."""
    torch.backends.cudnn.allow_tf32 = resolve(precision) != "float32"


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in features)
