"""Optimiser and learning rate schedule, for all parameters alike or for groups with rates of their own."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Training
from i3d_lightning.schedule import Stages

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
    rate = training.course.learning_rate
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
    """Make the learning rate schedule of a recipe, which steps with the optimiser."""
    if training.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=training.course.steps)
    return StagedLR(optimizer, training.course.stages, training.patience)


class StagedLR(LRScheduler):
    """Learning rates that change at given steps, or before, where validation saturates.

    Args:
        optimizer: Whose rates.
        stages: Pairs: from this step on, the latest, rates are so many times those of the start.
        patience: Validations without a better loss that are waited out before the next stage.
    """

    THRESHOLD = 1e-4  # share by which a loss must be lower to be better, as in torch's ReduceLROnPlateau

    def __init__(self, optimizer: Optimizer, stages: Stages, patience: int) -> None:
        self.stages, self.patience = list(stages), patience
        self.entered, self.best, self.waited = 0, inf, 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Give the rates of all groups at the step that training is at."""
        while self._is_next() and self.last_epoch >= self.stages[self.entered][0]:
            self._enter()
        factor = self.stages[self.entered - 1][1] if self.entered else 1.0
        return [rate * factor for rate in self.base_lrs]

    def saw(self, loss: float) -> None:
        """Enter the next stage where a validation is the last that is waited for."""
        if loss < self.best * (1 - self.THRESHOLD):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience and self._is_next():
            self._enter()
            for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
                group["lr"] = rate

    def _is_next(self) -> bool:
        return self.entered < len(self.stages)

    def _enter(self) -> None:
        self.entered += 1
        self.waited = 0
