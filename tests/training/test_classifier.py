from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from i3d_lightning.errors import InputError
from i3d_lightning.training.classifier import fit_cross_validated, hits, minimise


def blobs(n, k, f, noise, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, f, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(n) % k
    return centres[labels] + noise * torch.randn(n, f, generator=generator), labels


def folds(n, count=5):
    rows = list(range(n))
    return [([r for r in rows if r % count != i], [r for r in rows if r % count == i]) for i in range(count)]


def test_the_minimum_has_no_gradient_left():
    features, labels = blobs(60, 3, 8, 1.0)
    flat = minimise(features.double().numpy(), labels.numpy(), 3, 0.1, np.zeros(27))
    layer = torch.from_numpy(flat).view(3, 9).requires_grad_()
    logits = features.double() @ layer[:, :-1].T + layer[:, -1]
    loss = F.cross_entropy(logits, labels) + 0.05 * layer[:, :-1].square().sum() / 3
    assert torch.autograd.grad(loss, layer)[0].abs().max() < 1e-5


def test_separable_classes_are_separated_on_new_points():
    features, labels = blobs(63, 3, 16, 0.4)
    layer = fit_cross_validated(features, labels, 3, folds(63))
    new, truth = blobs(300, 3, 16, 0.4, seed=1)
    assert (layer(new).argmax(1) == truth).double().mean() > 0.98
    assert layer.validation_top1 > 95


def test_scaling_is_folded_into_the_weights():
    features, labels = blobs(60, 3, 8, 0.5)
    features = features * torch.logspace(-3, 3, 8) + 5.0  # only standardising copes with this
    layer = fit_cross_validated(features, labels, 3, folds(60))
    assert layer.scaling == "standardise"
    assert (layer(features).argmax(1) == labels).double().mean() > 0.95


def test_noise_is_penalised_harder_than_signal():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(80, 64, generator=generator)
    labels = torch.randint(0, 4, (80,), generator=generator)
    hard = fit_cross_validated(noise, labels, 4, folds(80)).penalty
    features, labels = blobs(80, 4, 64, 0.3)
    soft = fit_cross_validated(features, labels, 4, folds(80)).penalty
    assert hard >= 10 > soft


def test_classes_without_training_videos_are_never_the_answer():
    features, labels = blobs(60, 3, 8, 0.5)
    layer = fit_cross_validated(features, labels, 10, folds(60))
    assert layer(features).shape == (60, 10)
    assert layer(features).argmax(1).max() < 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(bad):
    features, labels = blobs(60, 3, 8, 0.5)
    features[7, 2] = bad
    with pytest.raises(InputError, match="features of 1 of 60 training videos are not finite"):
        fit_cross_validated(features, labels, 3, folds(60))


def test_a_tie_is_no_answer():
    logits = torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, float("nan"), 0.0]])
    assert hits(logits, torch.tensor([0, 0, 1])).tolist() == [False, True, False]
