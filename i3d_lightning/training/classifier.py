"""The last layer on frozen features: multinomial logistic regression.

The problem is convex, so it is solved full-batch by L-BFGS in seconds. How features are scaled and
how strongly the weights are penalised is chosen by cross-validation over groups of training videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from i3d_lightning.errors import InputError

PENALTIES = tuple(10.0**e for e in (2, 1, 0, -1, -2, -3, -4))
"""L2 penalties tried, from strong to weak: each solution is the next one's starting point."""

SCALINGS = ("none", "standardise")

ABSENT = -100.0
"""Logit of a class without training videos, whose free bias would otherwise fall for ever."""


@dataclass(frozen=True)
class LinearClassifier:
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
) -> LinearClassifier:
    """Choose scaling and penalty on held-out folds, then refit on every video.

    Args:
        features: One row for each training video.
        labels: Their classes.
        classes: Number k of classes; those without training videos are never the answer.
        folds: Pairs of row indices (to fit on, to validate on); no group may be in both.

    Returns:
        The layer with the lowest cross-entropy on the held-out videos. Accuracy is reported but
        does not choose: on few videos it ties and jumps where cross-entropy does not.

    Raises:
        InputError: Features, or the layer found, are not finite.
    """
    if not features.isfinite().all():
        rows = (~features.isfinite().all(1)).sum().item()
        raise InputError(f"The features of {rows} of {len(features)} training videos are not finite.")
    present, labels = labels.unique(return_inverse=True)
    choices = [_choose(features, labels, len(present), folds, scaling) for scaling in SCALINGS]
    chosen = min(choices, key=lambda choice: choice.loss)

    shift, scale = _scaling(features, chosen.scaling)
    path = _path((features - shift) / scale, labels, len(present))
    weight, bias = next(islice(path, PENALTIES.index(chosen.penalty), None))
    weight = weight / scale
    weights, biases = features.new_zeros(classes, features.shape[1]), features.new_full((classes,), ABSENT)
    weights[present], biases[present] = weight, bias - weight @ shift
    if not (math.isfinite(chosen.loss) and weights.isfinite().all() and biases.isfinite().all()):
        raise InputError(
            "The layer fitted to the features is not finite: they are too large for float32, as those of "
            "damaged weights may be."
        )
    return LinearClassifier(weights, biases, chosen.scaling, chosen.penalty, chosen.top1)


@dataclass(frozen=True)
class _Choice:
    """A setting and how it did on the held-out videos: mean cross-entropy, top-1 in percent."""

    scaling: str
    penalty: float
    loss: float
    top1: float


def _choose(
    features: Tensor,
    labels: Tensor,
    classes: int,
    folds: Sequence[tuple[Sequence[int], Sequence[int]]],
    scaling: str,
) -> _Choice:
    """Choose the penalty with the lowest held-out loss, from strong to weak until two in a row are worse.

    The weakest penalties take most of the time, and are tried where they may win only.
    """
    scalings = [_scaling(features[train], scaling) for train, _ in folds]
    paths = [
        _path((features[train] - shift) / scale, labels[train], classes)
        for (train, _), (shift, scale) in zip(folds, scalings, strict=True)
    ]
    tried: list[_Choice] = []
    for penalty, *layers in zip(PENALTIES, *paths, strict=True):
        losses, right = [], []
        for (weight, bias), (_, held_out), (shift, scale) in zip(layers, folds, scalings, strict=True):
            logits = (features[held_out] - shift) / scale @ weight.T + bias
            losses.append(F.cross_entropy(logits, labels[held_out], reduction="none"))
            right.append(hits(logits, labels[held_out]))
        loss, top1 = torch.cat(losses).mean().item(), torch.cat(right).double().mean().item()
        loss = loss if math.isfinite(loss) else math.inf
        tried.append(_Choice(scaling, penalty, loss, 100.0 * top1))
        best = min(tried, key=lambda choice: choice.loss)
        if best not in tried[-2:]:
            break
    return best


def hits(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Say where the right class alone has the highest logit: a tie is no answer."""
    right = logits.gather(1, labels[:, None])
    return (logits >= right).sum(1) == 1


def _scaling(features: Tensor, scaling: str) -> tuple[Tensor, Tensor]:
    """Find shift and scale of each feature; to centre changes no solution (the bias is free), but is fast."""
    deviation = features.std(0, unbiased=False)
    if scaling == "none":  # one scale for all, so that a penalty means the same for any network
        deviation = deviation.square().mean().sqrt().expand_as(deviation)
    return features.mean(0), deviation.clamp_min(1e-6)


def _path(features: Tensor, labels: Tensor, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the solutions along the path of falling penalties, each started from the one before.

    Weights lie in the span of the features, where these are fewer than their length: solved there,
    the problem is the same and smaller.
    """
    x, y = features.double().numpy(), labels.numpy()
    span = np.linalg.svd(x, full_matrices=False)[2] if len(x) < x.shape[1] else np.eye(x.shape[1])
    inside = x @ span.T
    solution = np.zeros(classes * (len(span) + 1))
    for penalty in PENALTIES:
        solution = minimise(inside, y, classes, penalty, solution)
        layer = solution.reshape(classes, -1)
        weight, bias = layer[:, :-1] @ span, layer[:, -1]
        yield torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))


def minimise(x: np.ndarray, y: np.ndarray, classes: int, penalty: float, start: np.ndarray) -> np.ndarray:
    """Find the minimum of mean cross-entropy + penalty / (2k) · |weight|², by SciPy's L-BFGS.

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
