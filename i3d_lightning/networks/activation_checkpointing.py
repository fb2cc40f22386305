"""Activation checkpointing: less memory for more time, with batch statistics counted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(stage: nn.Module, x: Tensor) -> Tensor:
    """Run a stage of which only the input is kept for the gradients."""
    second = _statistics_kept(stage)
    output: Tensor = checkpoint(stage, x, use_reentrant=False, context_fn=lambda: (nullcontext(), second))
    return output


@contextmanager
def _statistics_kept(stage: nn.Module) -> Iterator[None]:
    """The second pass must not enter its batch into the running statistics again."""
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [(count, count.clone()) for name, count in stage.named_buffers() if name.endswith("_tracked")]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for count, before in counts:
            count.copy_(before)
