from __future__ import annotations

import pytest
import torch
from torch import nn

from i3d_lightning.errors import InputError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Training
from i3d_lightning.training.optimisers import StagedLR, make_optimizer, make_schedule

SCALES = (0.25, 0.5, 1.0)


class Layers(VideoNetwork):
    """Three layers, the last of which is the classifier."""

    feature_size = 4

    def __init__(self) -> None:
        super().__init__(0.0)
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
        self.reset_classifier(2)

    def forward_features(self, clip):
        return self.body(clip.mean((2, 3, 4)))[..., None]


def layer_wise(network: Layers, training: Training) -> list[dict]:
    layers = (network.body[0], network.body[2], network.classifier)
    return [
        {"params": list(layer.parameters()), "lr_scale": scale}
        for layer, scale in zip(layers, SCALES, strict=True)
    ]


def trained(network: Layers, optimizer: torch.optim.Optimizer, scheduler) -> list[torch.Tensor]:
    for step in range(3):
        clips = torch.randn(5, 3, 2, 2, 2, generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(network(clips)[..., 0], torch.arange(5) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return [p.detach().clone() for p in network.parameters()]


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_without_groups_training_is_pytorchs_own_to_the_bit(name):
    training = Training(optimizer=name, schedule="cosine", batch_size=48, learning_rate=0.1, weight_decay=0.1)
    torch.manual_seed(0)
    ours = Layers()
    torch.manual_seed(0)
    theirs = Layers()
    if name == "sgd":
        expected = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9, weight_decay=0.1, fused=True)
    else:
        expected = torch.optim.AdamW(theirs.parameters(), 0.1 * 0.5**0.5, weight_decay=0.1, fused=True)
    optimizer = make_optimizer(ours, training)
    found = trained(ours, optimizer, make_schedule(optimizer, training))
    annealed = torch.optim.lr_scheduler.CosineAnnealingLR(
        expected, T_max=10_000
    )  # twice as many steps of half the clips
    assert all(map(torch.equal, found, trained(theirs, expected, annealed)))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_group_is_trained_at_its_own_rate(name):
    """SGD's first step is as long as its rate says; AdamW's is too, whatever the gradient."""
    training = Training(optimizer=name, learning_rate=1e-3, weight_decay=0.0, momentum=0.0)
    moved = []
    for groups in (None, layer_wise):
        torch.manual_seed(0)
        network = Layers()
        before = [p.detach().clone() for p in network.parameters()]
        optimizer = make_optimizer(network, training, groups)
        clips = torch.randn(5, 3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
        nn.functional.cross_entropy(network(clips)[..., 0], torch.arange(5) % 2).backward()
        optimizer.step()
        names = [name for name, _ in network.named_parameters()]
        after = [p.detach() - b for p, b in zip(network.parameters(), before, strict=True)]
        moved.append(dict(zip(names, after, strict=True)))
    usual, scaled = moved
    for layer, scale in zip(("body.0", "body.2", "classifier"), SCALES, strict=True):
        torch.testing.assert_close(
            scaled[f"{layer}.weight"], scale * usual[f"{layer}.weight"], atol=1e-7, rtol=1e-3
        )
    assert not scaled["body.1.weight"].any()  # in no group
    assert usual["body.1.weight"].any()


def test_stages_move_every_groups_rate_in_proportion():
    training = Training(learning_rate=0.1, stages=((1, 0.1), (3, 0.01)))
    optimizer = make_optimizer(Layers(), training, layer_wise)
    schedule = make_schedule(optimizer, training)
    for factor in (1.0, 0.1, 0.1, 0.01):
        assert rates(optimizer) == pytest.approx([0.1 * scale * factor for scale in SCALES])
        optimizer.step()
        schedule.step()


def test_a_cosine_anneals_every_groups_rate_from_its_own_to_zero():
    training = Training(learning_rate=0.1, schedule="cosine", steps=4, validate_every=2)
    optimizer = make_optimizer(Layers(), training, layer_wise)
    schedule = make_schedule(optimizer, training)
    for factor in (1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0):
        assert rates(optimizer) == pytest.approx([0.1 * scale * factor for scale in SCALES])
        optimizer.step()
        schedule.step()


def plateau(**more) -> tuple[torch.optim.Optimizer, StagedLR]:
    training = Training(learning_rate=0.1, schedule="plateau", validation_fraction=0.1, **more)
    optimizer = make_optimizer(Layers(), training, layer_wise)
    schedule = make_schedule(optimizer, training)
    assert isinstance(schedule, StagedLR)
    return optimizer, schedule


def test_on_a_plateau_every_groups_rate_falls_to_that_of_the_next_stage():
    optimizer, schedule = plateau(patience=0)
    for loss, factor in ((1.0, 1.0), (0.5, 1.0), (0.5, 0.1), (0.6, 0.01), (0.6, 0.01)):
        schedule.saw(loss)
        assert rates(optimizer) == pytest.approx([0.1 * scale * factor for scale in SCALES])
        optimizer.step()
        schedule.step()
        assert rates(optimizer) == pytest.approx([0.1 * scale * factor for scale in SCALES])


def test_where_validation_never_saturates_the_last_rate_is_reached_all_the_same():
    """A slow learner is not tested at its first rate."""
    optimizer, schedule = plateau(steps=10, validate_every=1, stages=((6, 0.1), (8, 0.01)))
    factors = []
    for step in range(10):
        factors.append(rates(optimizer)[-1] / 0.1)
        optimizer.step()
        schedule.step()
        schedule.saw(1.0 / (1 + step))
    assert factors == pytest.approx(6 * [1.0] + 2 * [0.1] + 2 * [0.01])


def test_a_stage_entered_early_makes_no_later_one_come_early():
    optimizer, schedule = plateau(steps=10, validate_every=1, stages=((6, 0.1), (8, 0.01)), patience=1)
    factors = []
    for step in range(10):
        factors.append(rates(optimizer)[-1] / 0.1)
        optimizer.step()
        schedule.step()
        schedule.saw(1.0 if step < 3 else 1.0 / (1 + step))  # saturated for once
    assert factors == pytest.approx(3 * [1.0] + 5 * [0.1] + 2 * [0.01])


def test_a_group_may_say_its_rate_and_other_settings_outright():
    def groups(network, training):
        return [
            {"params": network.body.parameters(), "lr": 0.003, "weight_decay": 0.0},
            {"params": network.classifier.parameters()},
        ]

    optimizer = make_optimizer(Layers(), Training(batch_size=48, weight_decay=0.1), groups)
    assert rates(optimizer) == [0.003, 0.005]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.1]


def test_a_group_cannot_have_two_rates():
    def groups(network, training):
        return [{"params": network.parameters(), "lr": 0.1, "lr_scale": 0.1}]

    with pytest.raises(ValueError, match="lr or lr_scale, not both"):
        make_optimizer(Layers(), Training(), groups)


class Layered(Layers):
    """The same, which says its layers, and has an embedding of two dimensions at its input."""

    depths = (("body.0", "position"), ("body.1", "body.2"), ("classifier",))
    undecayed = ("position",)

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 3))


def by_name(network: VideoNetwork, training: Training, groups=None) -> dict[str, tuple[float, float]]:
    """Rate and weight decay of every parameter that is trained."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: (pytest.approx(group["lr"]), group["weight_decay"])
        for group in make_optimizer(network, training, groups).param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_each_layer_is_trained_at_so_many_times_the_rate_of_the_next(name):
    training = Training(optimizer=name, learning_rate=0.8, layer_decay=0.5, weight_decay=0.05)
    assert by_name(Layered(), training) == {
        "position": (0.2, 0.05), "body.0.weight": (0.2, 0.05), "body.0.bias": (0.2, 0.05),
        "body.1.weight": (0.4, 0.05), "body.1.bias": (0.4, 0.05),
        "body.2.weight": (0.4, 0.05), "body.2.bias": (0.4, 0.05),
        "classifier.weight": (0.8, 0.05), "classifier.bias": (0.8, 0.05),
    }  # fmt: skip


def test_norms_biases_and_embeddings_are_spared_weight_decay():
    found = by_name(Layered(), Training(learning_rate=0.8, weight_decay=0.05, norm_decay=False))
    assert {name for name, (_, decay) in found.items() if decay} == {
        "body.0.weight", "body.2.weight", "classifier.weight",
    }  # fmt: skip
    assert all(rate == 0.8 and decay in (0.0, 0.05) for rate, decay in found.values())
    assert len(found) == len(list(Layered().parameters()))


def test_groups_of_a_protocol_are_parted_by_layer_and_norm_and_what_they_say_stands():
    def groups(network, training):
        return [
            {"params": network.body[0].parameters(), "lr": 0.003},
            {"params": network.body[2].parameters(), "lr_scale": 0.1},
            {"params": network.classifier.parameters(), "weight_decay": 0.3},
        ]

    training = Training(learning_rate=0.8, layer_decay=0.5, norm_decay=False, weight_decay=0.05)
    assert by_name(Layered(), training, groups) == {
        "body.0.weight": (0.003, 0.05), "body.0.bias": (0.003, 0.0),
        "body.2.weight": (0.04, 0.05), "body.2.bias": (0.04, 0.0),
        "classifier.weight": (0.8, 0.3), "classifier.bias": (0.8, 0.3),
    }  # fmt: skip


def test_layers_that_a_network_does_not_say_or_says_wrongly_are_refused():
    training = Training(layer_decay=0.75)
    with pytest.raises(InputError, match="this one does not: leave it at 1"):
        make_optimizer(Layers(), training)
    network = Layered()
    network.depths = network.depths[1:]
    with pytest.raises(ValueError, match="position is in 0 of the layers"):
        make_optimizer(network, training)
    network.undecayed = ("positions",)
    with pytest.raises(ValueError, match="begins or ends with positions"):
        make_optimizer(network, Training(norm_decay=False))


WARM = {
    "stages": {"stages": ((3, 0.1), (6, 0.01))},
    "plateau": {"stages": ((3, 0.1), (6, 0.01)), "validation_fraction": 0.1},
    "cosine": {},
}
STAGED = [0.0, 0.25, 0.5, 0.075, 0.1, 0.1, 0.01, 0.01]
COSINE = [0.0, 0.25, 0.5, 0.75, 1.0, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]


@pytest.mark.parametrize("resumed", [None, 1, 2, 4, 5])
@pytest.mark.parametrize("schedule", WARM)
def test_rates_rise_from_zero_to_the_schedules_in_a_resumed_run_too(schedule, resumed):
    """Four steps of eight: the rate of each group at every step, by hand."""
    training = Training(
        learning_rate=0.1, steps=8, validate_every=4, warmup_steps=4, schedule=schedule, **WARM[schedule]
    )
    optimizer = make_optimizer(Layers(), training, layer_wise)
    schedule_ = make_schedule(optimizer, training)
    for step, factor in enumerate(COSINE if schedule == "cosine" else STAGED):
        if step == resumed:
            states = optimizer.state_dict(), schedule_.state_dict()
            optimizer = make_optimizer(Layers(), training, layer_wise)
            schedule_ = make_schedule(optimizer, training)
            optimizer.load_state_dict(states[0])
            schedule_.load_state_dict(states[1])
        assert rates(optimizer) == pytest.approx([0.1 * scale * factor for scale in SCALES])
        optimizer.step()
        schedule_.step()


def test_a_plateau_within_the_warm_up_is_not_stepped_over():
    optimizer, schedule = plateau(patience=0, warmup_steps=4, steps=8, validate_every=1, stages=((7, 0.1),))
    factors = []
    for _ in range(6):
        schedule.saw(1.0)  # saturated from the second validation on
        factors.append(rates(optimizer)[-1] / 0.1)
        optimizer.step()
        schedule.step()
    assert factors == pytest.approx([0.0, 0.025, 0.05, 0.075, 0.1, 0.1])
