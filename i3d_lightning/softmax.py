"""The last layer on frozen features: multinomial logistic regression, fitted to convergence.

The problem is convex, so it is solved full-batch by L-BFGS in seconds. How features are scaled and
how strongly the weights are penalised is chosen by cross-validation over groups of training videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

PENALTIES = tuple(10.0**e for e in (2, 1, 0, -1, -2, -3, -4))
"""L2 penalties tried, from strong to weak: each solution is the next one's starting point."""

SCALINGS = ("none", "standardise")

ABSENT = -100.0
"""Logit of a class without training videos, whose free bias would otherwise fall for ever."""


@dataclass(frozen=True)
class Softmax:
    """A fitted layer: logits = features · weightᵀ + bias.

    Attributes:
        weight: Shape (k, f); any scaling of the features is folded in.
        bias: Shape (k).
        scaling: `none`, or `standardise` to zero mean and unit variance over the training videos.
        penalty: L2 penalty on the scaled problem.
        validation_top1: Top-1 in percent over the held-out folds that chose scaling and penalty.
    """

    weight: Float[Tensor, "k f"]
    bias: Float[Tensor, " k"]
    scaling: str
    penalty: float
    validation_top1: float

    def __call__(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n k"]:
        return features @ self.weight.T + self.bias


def fit_cross_validated(
    features: Float[Tensor, "n f"],
    labels: Int[Tensor, " n"],
    classes: int,
    folds: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> Softmax:
    """Choose scaling and penalty on held-out folds, then refit on every video.

    Args:
        features: One row for each training video.
        labels: Their classes.
        classes: Number k of classes; those without training videos are never the answer.
        folds: Pairs of row indices (to fit on, to validate on); no group may be in both.

    Returns:
        The layer with the lowest cross-entropy on the held-out videos. Accuracy is reported but
        does not choose: on few videos it ties and jumps where cross-entropy does not.
    """
    present, labels = labels.unique(return_inverse=True)
    trials: dict[tuple[str, float], list[tuple[Tensor, Tensor]]] = {}
    for train, validation in folds:
        for scaling in SCALINGS:
            shift, scale = _scaling(features[train], scaling)
            path = _path((features[train] - shift) / scale, labels[train], len(present), PENALTIES)
            held_out = (features[validation] - shift) / scale
            for penalty, (weight, bias) in zip(PENALTIES, path, strict=True):
                logits = held_out @ weight.T + bias
                losses = F.cross_entropy(logits, labels[validation], reduction="none")
                hits = logits.argmax(1) == labels[validation]
                trials.setdefault((scaling, penalty), []).append((losses, hits))
    cost = {setting: torch.cat([t[0] for t in parts]).mean().item() for setting, parts in trials.items()}
    scaling, penalty = min(cost, key=lambda setting: cost[setting])
    hits = torch.cat([t[1] for t in trials[scaling, penalty]])

    shift, scale = _scaling(features, scaling)
    down_to = PENALTIES[: PENALTIES.index(penalty) + 1]
    *_, (weight, bias) = _path((features - shift) / scale, labels, len(present), down_to)
    weight = weight / scale
    weights, biases = features.new_zeros(classes, features.shape[1]), features.new_full((classes,), ABSENT)
    weights[present], biases[present] = weight, bias - weight @ shift
    return Softmax(weights, biases, scaling, penalty, 100.0 * hits.double().mean().item())


def _scaling(features: Tensor, scaling: str) -> tuple[Tensor, Tensor]:
    """Shift and scale of each feature; centring changes no solution (the bias is free), but speeds it."""
    deviation = features.std(0, unbiased=False)
    if scaling == "none":  # one scale for all, so that a penalty means the same for any network
        deviation = deviation.square().mean().sqrt().expand_as(deviation)
    return features.mean(0), deviation.clamp_min(1e-6)


def _path(
    features: Tensor, labels: Tensor, classes: int, penalties: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """Solutions along a path of falling penalties, each started from the one before."""
    x, y = features.double().numpy(), labels.numpy()
    solution = np.zeros(classes * (x.shape[1] + 1))
    solutions = []
    for penalty in penalties:
        solution = minimise(x, y, classes, penalty, solution)
        layer = torch.from_numpy(solution.astype(np.float32)).view(classes, -1)
        solutions.append((layer[:, :-1], layer[:, -1]))
    return solutions


def minimise(x: np.ndarray, y: np.ndarray, classes: int, penalty: float, start: np.ndarray) -> np.ndarray:
    """The minimum of mean cross-entropy + penalty / (2k) · |weight|², by SciPy's L-BFGS.

    Args:
        x: Features, shape (n, f).
        y: Classes, shape (n,).
        classes: Number k of classes.
        penalty: Strength of the penalty; the bias is free of it.
        start: Flat start, and layout of the result: rows of weights and bias, shape (k · (f + 1),).
    """
    target = np.zeros((len(y), classes))
    target[np.arange(len(y)), y] = 1.0
    strength = penalty / classes

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        layer = flat.reshape(classes, -1)
        weight, bias = layer[:, :-1], layer[:, -1]
        log_p = log_softmax(x @ weight.T + bias, axis=1)
        loss = -np.sum(log_p * target) / len(y) + strength / 2 * np.sum(weight**2)
        residual = (np.exp(log_p) - target) / len(y)
        gradient = np.concatenate([residual.T @ x + strength * weight, residual.sum(0)[:, None]], axis=1)
        return float(loss), gradient.ravel()

    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-6})
    return found.x
