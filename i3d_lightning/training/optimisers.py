"""Optimiser and learning rate schedule, for all parameters alike or for groups with rates of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau

from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Training

ParameterGroups = Callable[[VideoNetwork, Training], list[dict[str, Any]]]
"""Parts a network's parameters into groups, as PyTorch's optimisers take them: each a dict of `params` and of
what is the group's own, such as `weight_decay` or `lr`. Its `lr_scale`, instead of `lr`, multiplies the
recipe's learning rate. Schedules move every group's rate in proportion. A parameter in no group stays as it
is."""


def make_optimizer(
    network: VideoNetwork, training: Training, parameter_groups: ParameterGroups | None = None
) -> Optimizer:
    """Make the optimiser of a recipe.

    Args:
        network: Its parameters are trained.
        training: Optimiser, learning rate, momentum and weight decay.
        parameter_groups: Parts the parameters into groups; by default all are one.

    Raises:
        ValueError: A group has both `lr` and `lr_scale`.
    """
    rate = training.scaled_learning_rate
    found = parameter_groups(network, training) if parameter_groups else [{"params": network.parameters()}]
    groups = [_with_rate(group, rate) for group in found]
    if training.optimizer == "sgd":
        return SGD(groups, rate, training.momentum, weight_decay=training.weight_decay, fused=True)
    return AdamW(groups, rate, weight_decay=training.weight_decay, fused=True)


def _with_rate(group: dict[str, Any], rate: float) -> dict[str, Any]:
    if "lr_scale" not in group:
        return group
    if "lr" in group:
        raise ValueError("a group of parameters has lr or lr_scale, not both")
    return {key: value for key, value in group.items() if key != "lr_scale"} | {
        "lr": rate * group["lr_scale"]
    }


def make_schedule(optimizer: Optimizer, training: Training) -> LRScheduler:
    """Make the learning rate schedule of a recipe.

    Returns:
        A ReduceLROnPlateau, which steps after each validation, or a scheduler that steps with the optimiser.
    """
    if training.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.1, patience=training.patience)
    if training.schedule == "stages":
        return LambdaLR(optimizer, partial(_stage, training.stages))
    return CosineAnnealingLR(optimizer, T_max=training.steps)


def _stage(stages: Sequence[tuple[int, float]], step: int) -> float:
    """Find what learning rates are multiplied by at a step."""
    return next((factor for start, factor in reversed(stages) if step >= start), 1.0)
