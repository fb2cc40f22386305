from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from i3d_lightning.errors import InputError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Recipe, Training
from i3d_lightning.training.mixup import draw
from i3d_lightning.training.streams import VideoStream, prepare

CLASSES, CLIPS = 3, 6


class Means(VideoNetwork):
    """Sees RGB and flow: their means at every time step."""

    feature_size = 5

    def __init__(self, every_step: bool) -> None:
        super().__init__(0.0)
        self.supervised_at_every_step = every_step
        self.scale = nn.Parameter(torch.ones(()))
        self.reset_classifier(CLASSES)
        nn.init.normal_(self.classifier.weight)

    def forward_features(self, *clips: Tensor) -> Tensor:
        return self.scale * torch.cat([clip.mean((3, 4)) for clip in clips], 1)


def a_batch(clips: int = CLIPS) -> dict:
    random = torch.Generator().manual_seed(0)
    seen = tuple(
        torch.randint(0, 256, (clips, c, 4, 6, 6), dtype=torch.uint8, generator=random) for c in (3, 2)
    )
    return {"clips": seen, "label": torch.arange(clips) % CLASSES, "index": torch.arange(clips)}


def a_stream(mixup: float, every_step: bool = False, seed: int = 0) -> VideoStream:
    torch.manual_seed(0)
    recipe = Recipe(training=Training(mixup=mixup))
    stream = VideoStream(Means(every_step), CLASSES, recipe, seed)
    place = {"current_epoch": 2, "global_rank": 0}
    stream.__class__ = type("Placed", (VideoStream,), place)  # where it would be in a training
    return stream


@pytest.mark.parametrize("every_step", [False, True])
def test_the_loss_is_the_cross_entropy_of_mixed_labels_for_mixed_clips(every_step):
    """Of RGB and flow alike, pooled or at every step, by hand."""
    stream, batch = a_stream(0.8, every_step), a_batch()
    found = stream.training_step(batch, 5)
    share, partner = stream._mixing(batch, 5)
    assert 0 < share < 1
    assert sorted(partner.tolist()) == list(range(CLIPS)) != partner.tolist()

    seen = [prepare(clip, stream.recipe.clips) for clip in batch["clips"]]
    steps = stream.network(*(share * clip + (1 - share) * clip[partner] for clip in seen))
    labels = one_hot(batch["label"], CLASSES).float()
    soft = share * labels + (1 - share) * labels[partner]
    logits = steps if every_step else steps.mean(2, keepdim=True)
    expected = -(soft[..., None] * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(found, expected)

    meters = stream.metrics["fit"]
    heavier = soft.argmax(1)
    assert float(meters["loss"].compute()) == pytest.approx(expected.item())
    assert float(meters["top1"].compute()) == pytest.approx(
        float((steps.mean(2).argmax(1) == heavier).float().mean())
    )


def test_without_it_losses_and_draws_are_to_the_bit_what_they_were():
    stream, batch = a_stream(0.0), a_batch()
    clips = [prepare(clip, stream.recipe.clips) for clip in batch["clips"]]
    expected = nn.functional.cross_entropy(stream.network(*clips).float().mean(2), batch["label"])
    state = torch.random.get_rng_state()
    assert torch.equal(stream.training_step(batch, 0), expected)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_held_out_clips_are_not_mixed():
    mixed, plain = a_stream(0.8), a_stream(0.0)
    for stream in (mixed, plain):
        stream.validation_step(a_batch(), 0)
    losses = [float(stream.metrics["val"]["loss"].compute()) for stream in (mixed, plain)]
    assert losses[0] == losses[1]


def test_how_clips_are_mixed_depends_on_seed_and_place_alone():
    batch = a_batch()

    def drawn(batch_idx: int = 0, seed: int = 0, disturb: int = 0, **place: int) -> tuple[float, list[int]]:
        stream = a_stream(0.8, seed=seed)
        for name, value in place.items():
            setattr(type(stream), name, value)
        torch.manual_seed(disturb)
        share, partner = stream._mixing(batch, batch_idx)
        return float(share), partner.tolist()

    assert drawn() == drawn(disturb=1)
    others = [drawn(1), drawn(seed=1), drawn(current_epoch=3), drawn(global_rank=1)]
    assert len({share for share, _ in (drawn(), *others)}) == 5


def test_shares_are_distributed_as_beta():
    """Of Beta(a, a) the mean is 1/2 and the variance 1 / (4 (2a + 1))."""
    shares = np.array([float(draw(0.8, 2, seed, torch.device("cpu")).share) for seed in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * 2.6), rel=0.06)


def test_a_clip_alone_cannot_be_mixed():
    with pytest.raises(InputError, match="each holds one here"):
        a_stream(0.8).training_step(a_batch(1), 0)
