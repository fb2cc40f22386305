from __future__ import annotations

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from i3d_lightning.recipe import Training
from i3d_lightning.training.finite import LossWatch, diverged, not_finite
from i3d_lightning.training.meters import make_meters


def test_accuracy_is_torchmetrics_where_nothing_ties():
    generator = torch.Generator().manual_seed(0)
    for classes, places in ((3, (1,)), (5, (1,)), (6, (1, 5)), (101, (1, 5))):
        ours, theirs = (
            make_meters(classes),
            {k: MulticlassAccuracy(classes, top_k=k, average="micro") for k in places},
        )
        assert ours.keys() == {"loss", *(f"top{k}" for k in places)}
        for size in (1, 6, 7):
            logits = torch.randn(size, classes, generator=generator)
            labels = torch.randint(classes, (size,), generator=generator)
            for k in places:
                ours[f"top{k}"].update(logits, labels)
                theirs[k].update(logits, labels)
        for k in places:
            assert torch.equal(ours[f"top{k}"].compute(), theirs[k].compute())


@pytest.mark.parametrize("value", [0.0, float("inf"), float("-inf"), float("nan")])
def test_logits_that_say_nothing_are_not_right(value):
    meters = make_meters(10)
    for name in ("top1", "top5"):
        meters[name].update(torch.full((4, 10), value), torch.tensor([0, 3, 5, 9]))
        assert meters[name].compute() == 0


def test_a_loss_that_is_no_number_shows_in_the_mean():
    meters = make_meters(10)
    for loss in (1.0, float("nan"), 2.0):
        meters["loss"].update(torch.tensor(loss), 6)
    assert meters["loss"].compute().isnan()


def test_the_step_of_a_bad_loss_is_named():
    watch = LossWatch()
    found = [watch.bad_step(step, torch.tensor(loss)) for step, loss in enumerate((1.0, 1e30, float("inf")))]
    assert found == [-1, -1, 2]
    assert "bf16" not in str(diverged("The loss", 2, Training(precision="float32")))
    assert "--precision float32" in str(diverged("The loss", 2, Training(precision="bf16")))


def test_what_is_no_number_is_named_wherever_it_is():
    fine = {"a": [torch.ones(3), {"b": torch.tensor([1, 2])}], "c": "text", "d": float("inf")}
    assert not_finite(fine) is None
    assert not_finite(fine | {"e": (torch.ones(2), {"f": torch.tensor([1.0, float("nan")])})}) == "e.1.f"
