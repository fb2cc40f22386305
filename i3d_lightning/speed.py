"""How exactly and how fast numbers are computed: a choice that nobody has to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import torch

from i3d_lightning import plan


@dataclass(frozen=True)
class Speed:
    """A way to compute.

    Attributes:
        precision: Lightning's word for it.
        compiled: Whether training steps go through `torch.compile`.
        description: How and where, for people.
    """

    precision: Any
    compiled: bool
    description: str


def choose(wanted: str) -> Speed:
    """The way behind a word, on this machine.

    `exact` is float32 without TF32, `bf16` autocast to bf16, `compiled` the same with compiled training
    steps. `auto` is bf16 where the device has bf16 matrix instructions and exact elsewhere: compilation takes
    minutes, and on CPUs it gained nothing (benchmarks/README.md).

    Raises:
        InputError: There is no such word.
    """
    plan.check_known("speed", wanted, get_args(plan.Speed))
    has_bf16, device = _device()
    if wanted == "exact" or (wanted == "auto" and not has_bf16):
        why = "" if wanted == "exact" else ", which has no bf16 instructions"
        return Speed("32-true", False, f"in float32 on {device}{why}")
    compiled = wanted == "compiled"
    more = ", training steps compiled (the first takes minutes)" if compiled else ""
    return Speed("bf16-mixed", compiled, f"in bf16 on {device}{more}")


def forbid_tf32(speed: Speed) -> None:
    """Keeps float32 from being rounded to TF32 in convolutions, which is PyTorch's default on GPUs."""
    torch.backends.cudnn.allow_tf32 = speed.precision != "32-true"


def _device() -> tuple[bool, str]:
    """Whether the device has bf16 matrix instructions, and its name."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False), torch.cuda.get_device_name()
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in features), "the CPU"
