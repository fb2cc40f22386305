"""Numbers that are none: training that has diverged ends with an error, and is neither kept nor tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Training


def diverged(what: str, step: int, training: Training) -> InputError:
    """Make the error that says what is no number any more, when, and what may help."""
    bf16 = " or compute with --precision float32" if training.precision != "float32" else ""
    return InputError(
        f"{what} is no finite number at step {step}: training has diverged, most likely because the learning "
        f"rate {training.course.learning_rate:g} is too high; lower --recipe.training.learning_rate{bf16}."
    )


class LossWatch:
    """Looks whether losses are finite; on a GPU at that of the step before, so that no step is waited for."""

    def __init__(self) -> None:
        self._before: tuple[int, Tensor, Any] | None = None

    def bad_step(self, step: int, loss: Tensor) -> int:
        """Give the step whose loss is not finite, or -1."""
        if loss.device.type != "cuda":
            return -1 if loss.isfinite() else step
        before, copied = self._before, torch.cuda.Event()
        self._before = step, loss.detach().to("cpu", non_blocking=True), copied
        copied.record()  # type: ignore[no-untyped-call]
        if before is None:
            return -1
        before[2].synchronize()
        return -1 if before[1].isfinite() else before[0]


def not_finite(state: Any, name: str = "") -> str | None:
    """Name the first tensor in nested state that holds a number that is none, if one does."""
    if isinstance(state, Tensor):
        return name if state.is_floating_point() and not state.isfinite().all() else None
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(state, Mapping):
        items = list(state.items())
    elif isinstance(state, (list, tuple)):
        items = list(enumerate(state))
    found = (not_finite(value, f"{name}.{key}" if name else str(key)) for key, value in items)
    return next((where for where in found if where), None)
