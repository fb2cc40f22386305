"""Optimiser and learning rate schedule, for all parameters alike or for groups with rates of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import cos, inf, pi
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from i3d_lightning.errors import InputError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Training
from i3d_lightning.schedule import Stages

ParameterGroups = Callable[[VideoNetwork, Training], list[dict[str, Any]]]
"""Parts a network's parameters into groups, as PyTorch's optimisers take them: each a dict of `params` and of
what is the group's own, such as `weight_decay` or `lr`. Its `lr_scale`, instead of `lr`, multiplies the
recipe's learning rate. Schedules move every group's rate in proportion. A parameter in no group stays as it
is.

The recipe's `layer_decay` and `norm_decay` part these groups further: the scales of layers multiply
`lr_scale`, but an `lr` or `weight_decay` that a group says outright stands."""


def make_optimizer(
    network: VideoNetwork, training: Training, parameter_groups: ParameterGroups | None = None
) -> Optimizer:
    """Make the optimiser of a recipe.

    Args:
        network: Its parameters are trained.
        training: Optimiser, learning rate and its decay by layer, momentum, weight decay and what it is on.
        parameter_groups: Parts the parameters into groups; by default all are one.

    Raises:
        InputError: Rates are to decay by layer, but the network does not say its layers.
        ValueError: A group has both `lr` and `lr_scale`, or the network's names fit its parameters wrongly.
    """
    rate = training.course.learning_rate
    found = parameter_groups(network, training) if parameter_groups else [{"params": network.parameters()}]
    groups = [_with_rate(group, rate) for group in _parted(found, network, training)]
    if training.optimizer == "sgd":
        return SGD(groups, rate, training.momentum, weight_decay=training.weight_decay, fused=True)
    return AdamW(groups, rate, weight_decay=training.weight_decay, fused=True)


def _parted(
    groups: Iterable[dict[str, Any]], network: VideoNetwork, training: Training
) -> Iterable[dict[str, Any]]:
    """Part groups further by the scale of each parameter's rate, and by whether its weights decay."""
    if training.layer_decay == 1 and training.norm_decay:
        return groups
    scales = layer_scales(network, training.layer_decay) if training.layer_decay != 1 else {}
    spared = set() if training.norm_decay else _spared(network)
    parts: list[dict[str, Any]] = []
    for group in groups:
        own: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for parameter in _listed(group["params"]):
            own.setdefault((scales.get(parameter, 1.0), parameter in spared), []).append(parameter)
        for (scale, bare), parameters in own.items():
            rate = {} if "lr" in group else {"lr_scale": scale * group.get("lr_scale", 1.0)}
            decay = {"weight_decay": 0.0} if bare else {}
            parts.append({**decay, **group, **rate, "params": parameters})
    return parts


def _listed(parameters: nn.Parameter | Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameters] if isinstance(parameters, nn.Parameter) else list(parameters)


def layer_scales(network: VideoNetwork, decay: float) -> Mapping[nn.Parameter, float]:
    """Say how many times the learning rate each parameter is trained at: by its layer's distance to the last.

    Raises:
        InputError: The network does not say its layers.
        ValueError: A parameter is in none of them, or in several.
    """
    if not network.depths:
        raise InputError(
            "training.layer_decay is for networks that say which layer comes after which, and this one does "
            "not: leave it at 1."
        )
    scales = {}
    for name, parameter in network.named_parameters():
        at = [depth for depth, layer in enumerate(network.depths) if any(_begins(name, n) for n in layer)]
        if len(at) != 1:
            raise ValueError(f"{name} is in {len(at)} of the layers that the network says, not in one")
        scales[parameter] = decay ** (len(network.depths) - 1 - at[0])
    return scales


def _spared(network: VideoNetwork) -> set[nn.Parameter]:
    """What is spared weight decay: all of one dimension or none, and what the network names."""
    parameters = dict(network.named_parameters())
    spared = {parameter for parameter in parameters.values() if parameter.ndim <= 1}
    for said in network.undecayed:
        named = {
            p for name, p in parameters.items() if _begins(name, said) or f".{name}".endswith(f".{said}")
        }
        if not named:
            raise ValueError(
                f"no parameter's name begins or ends with {said}, which the network spares decay"
            )
        spared |= named
    return spared


def _begins(name: str, said: str) -> bool:
    return f"{name}.".startswith(f"{said}.")


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
    course = training.course
    if training.schedule != "cosine":
        return StagedLR(optimizer, course.stages, training.patience, course.warmup)
    if not course.warmup:
        return CosineAnnealingLR(optimizer, T_max=course.steps)

    def factor(step: int) -> float:
        if step < course.warmup:
            return step / course.warmup
        return (1 + cos(pi * (step - course.warmup) / (course.steps - course.warmup))) / 2

    return LambdaLR(optimizer, factor)


class StagedLR(LRScheduler):
    """Learning rates that change at given steps, or before, where validation saturates.

    Args:
        optimizer: Whose rates.
        stages: Pairs: from this step on, the latest, rates are so many times those of the start.
        patience: Validations without a better loss that are waited out before the next stage.
        warmup: Steps over which rates rise from 0 to what they are without it.
    """

    THRESHOLD = 1e-4  # share by which a loss must be lower to be better, as in torch's ReduceLROnPlateau

    def __init__(self, optimizer: Optimizer, stages: Stages, patience: int, warmup: int = 0) -> None:
        self.stages, self.patience, self.warmup = list(stages), patience, warmup
        self.entered, self.best, self.waited = 0, inf, 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Give the rates of all groups at the step that training is at."""
        while self._is_next() and self.last_epoch >= self.stages[self.entered][0]:
            self._enter()
        factor = self.stages[self.entered - 1][1] if self.entered else 1.0
        if self.last_epoch < self.warmup:
            factor *= self.last_epoch / self.warmup
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
