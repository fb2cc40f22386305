from __future__ import annotations

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import TINY
from torch import nn
from torch.utils.data import DataLoader

from i3d_lightning.datasets.clips import collate_whole
from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.registry import read_dataset
from i3d_lightning.flow import FlowStore
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.networks.inception import Inception
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Clips, Recipe, Training, compose
from i3d_lightning.training.streams import FrozenStream, VideoStream, prepare


def recipe(**training) -> Recipe:
    return Recipe(training=Training(**training))


def items(n: int, classes: int = 3) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (n, 3, 9, 32, 32), dtype=torch.uint8, generator=generator)
    return [
        {"clips": (c,), "label": i % classes, "index": i, "error": None, "partly": None, "looped": False}
        for i, c in enumerate(clips)
    ]


def batches(n: int, size: int = 2) -> DataLoader:
    training = [{key: item[key] for key in ("clips", "label", "index")} for item in items(n)]
    return DataLoader(training, batch_size=size)  # type: ignore[arg-type]


def whole_videos(n: int, size: int = 2) -> DataLoader:
    return DataLoader(items(n), batch_size=size, collate_fn=collate_whole)  # type: ignore[arg-type]


def trainer(**more) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, **more},
    )


def test_a_frozen_network_is_bit_identical_after_train_calls_and_a_pass():
    network = I3D(3)
    network(torch.randn(4, 3, 9, 32, 32))  # statistics that differ from their initial values
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    kept = {}
    stream = FrozenStream(network, Clips(), lambda index, feature, partly: kept.update({index: feature}))
    stream.train()
    assert not any(m.training for m in stream.modules())
    trainer().predict(stream, whole_videos(4), return_predictions=False)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in network.parameters())
    assert sorted(kept) == [0, 1, 2, 3]
    assert kept[0].shape == (1024,)


def test_a_batch_and_its_videos_one_by_one_have_the_same_features():
    network = I3D(3).eval()
    kept = {}
    stream = FrozenStream(network, Clips(), lambda index, feature, partly: kept.update({index: feature}))
    trainer().predict(stream, whole_videos(2, size=2), return_predictions=False)
    together = dict(kept)
    trainer().predict(stream, whole_videos(2, size=1), return_predictions=False)
    for index in together:
        torch.testing.assert_close(together[index], kept[index], atol=1e-4, rtol=1e-4)


class Left(VideoNetwork):
    """It sees the left half of RGB and flow, so that a mirror image is another thing to it."""

    feature_size = 5

    def __init__(self) -> None:
        super().__init__(0.0)
        self.scale = nn.Parameter(torch.ones(()))
        self.reset_classifier(3)
        nn.init.normal_(self.classifier.weight)

    def forward_features(self, *clips: torch.Tensor) -> torch.Tensor:
        return torch.cat([(self.scale * c[..., : c.shape[-1] // 2]).mean((3, 4)) for c in clips], 1).exp()


def test_a_video_and_its_mirror_image_are_averaged_at_test():
    """Logits and frozen features alike; what moved right in flow moves left in its mirror image."""
    random = torch.Generator().manual_seed(0)
    videos = [
        tuple(torch.randint(0, 256, (c, 4, 6, 6), dtype=torch.uint8, generator=random) for c in (3, 2))
        for _ in range(3)
    ]
    loader = DataLoader(
        [
            {"clips": clips, "label": 0, "index": i, "error": None, "partly": None, "looped": i == 1}
            for i, clips in enumerate(videos)
        ],
        batch_size=2,
        collate_fn=collate_whole,
    )
    network, settings = Left(), Clips(test_flip=True)
    stream, kept = VideoStream(network, 3, Recipe(clips=settings), 0), {}
    trainer().test(stream, loader, verbose=False)
    logits = torch.stack([stream.predictions[i] for i in range(3)])
    frozen = FrozenStream(network, settings, lambda index, feature, partly: kept.update({index: feature}))
    trainer().predict(frozen, loader, return_predictions=False)
    features = torch.stack([kept[i] for i in range(3)])
    assert stream.looped == frozen.looped == [1]

    seen = []
    for rgb, flow in videos:
        mirrored = flow.flip(-1)
        mirrored[0] = 255 - mirrored[0]
        seen.append([(rgb, flow), (rgb.flip(-1), mirrored)])
    expected = torch.stack(
        [
            torch.stack(
                [network.forward_features(*(c[None] / 127.5 - 1 for c in view))[0].mean(1) for view in views]
            )
            for views in seen
        ]
    )
    assert not torch.allclose(expected[:, 0], expected[:, 1], rtol=0.01)
    torch.testing.assert_close(features, expected.mean(1))
    torch.testing.assert_close(logits, network.classifier(features), atol=1e-5, rtol=1e-5)


def test_flow_that_is_computed_in_time_is_mirrored_as_stored_flow_is(tiny_ucf, tmp_path):
    split = read_dataset("ucf101", tiny_ucf, 1)
    found = []
    for source in ("stored", "computed"):
        settings = compose(
            Recipe(), TINY, {"flow": {"source": source}, "clips": {"flip": True, "test_flip": True}}
        )
        store = FlowStore(tmp_path, settings.flow, settings.clips.fps, settings.clips.short_side)
        store.compute([video.file for video in split.test[:2]], progress=False)
        data, kept = VideoDataModule(split, "joint", settings, 0, tmp_path).whole(split.test[:2]), {}
        stream = FrozenStream(
            Left(), settings.clips, lambda i, feature, _, kept=kept: kept.update({i: feature})
        )
        trainer().predict(stream, datamodule=data, return_predictions=False)
        found.append(torch.stack([kept[0], kept[1]]))
    torch.testing.assert_close(*found, atol=2e-3, rtol=2e-3)


def test_dropout_depends_on_seed_and_position_alone():
    def loss(seed: int, disturb: int) -> float:
        torch.manual_seed(0)
        stream = VideoStream(I3D(3), 3, Recipe(), seed)
        torch.manual_seed(disturb)
        fit = trainer(max_epochs=1, limit_train_batches=2)
        fit.fit(stream, batches(4))
        return float(fit.callback_metrics["fit/loss"])

    assert loss(seed=1, disturb=10) == loss(seed=1, disturb=20)
    assert loss(seed=1, disturb=10) != loss(seed=2, disturb=10)


class Constant(VideoNetwork):
    """Its loss never improves."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, clip):
        return (self.bias * 0).expand(len(clip), 3)[..., None]


PLATEAU = {"schedule": "plateau", "validation_fraction": 0.1, "patience": 1, "learning_rate": 1.0}


def test_the_learning_rate_falls_when_validation_saturates():
    stream = VideoStream(Constant(), 3, recipe(**PLATEAU), 0)
    fit = trainer(max_epochs=4)
    fit.fit(stream, batches(4), batches(2))
    # Validations 2 and 3 are no better than the first: one is waited out, the next lowers it.
    assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("interrupted", [1, 2, 3, 4])
def test_a_resumed_run_knows_how_long_validation_has_been_saturated(tmp_path, interrupted):
    def groups(network, training):
        return [{"params": network.parameters(), "lr_scale": 0.5}]

    def train(epochs: int, checkpoint: str | None) -> tuple[L.Trainer, ModelCheckpoint]:
        stream = VideoStream(Constant(), 3, recipe(**PLATEAU), 0, groups)
        kept = ModelCheckpoint(tmp_path, save_on_train_epoch_end=True)
        fit = trainer(max_epochs=epochs, enable_checkpointing=True, callbacks=[kept])
        fit.fit(stream, batches(4), batches(2), ckpt_path=checkpoint)
        return fit, kept

    _, kept = train(interrupted, None)
    resumed, undisturbed = train(6, kept.best_model_path)[0], train(6, None)[0]
    for fit in (resumed, undisturbed):
        assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(5e-3)
    states = [fit.lr_scheduler_configs[0].scheduler.state_dict() for fit in (resumed, undisturbed)]
    assert states[0] == states[1]


def test_both_schedules_and_optimisers_reduce_the_loss():
    for settings in (
        recipe(optimizer="sgd", learning_rate=0.01, dropout=0.0),
        recipe(
            optimizer="adamw",
            learning_rate=1e-3,
            schedule="cosine",
            steps=12,
            validate_every=2,
            dropout=0.0,
        ),
    ):
        torch.manual_seed(0)
        stream = VideoStream(I3D(3, dropout=0.0), 3, settings, 0)
        fit = trainer(max_epochs=6)
        losses = []
        stream.on_train_epoch_end = lambda s=stream, found=losses: found.append(s._log_metrics("fit")["loss"])  # type: ignore[method-assign]
        fit.fit(stream, batches(6, size=3))
        assert losses[-1] < 0.5 * losses[0]


def test_clips_arrive_in_minus_one_to_one_and_channels_last():
    clip = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1).expand(1, 2, 9, 4, 4)
    ready = prepare(clip, Clips())
    assert ready[0, :, 0, 0, 0].tolist() == [-1.0, 1.0]
    assert ready.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.slow
def test_compiled_training_does_what_training_does():
    class Small(VideoNetwork):
        feature_size = 192

        def __init__(self) -> None:
            super().__init__(0.0)
            self.inception = Inception(3, final_endpoint="Conv3d_2c_3x3")
            self.reset_classifier(3)

        def forward_features(self, clip):
            return self.inception(clip).mean((3, 4))

    def flat(network: nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    steps = []
    for compiled in (False, True):
        torch.manual_seed(0)
        stream = VideoStream(Small(), 3, recipe(compile=compiled, learning_rate=0.1), 0)
        before = flat(stream.network)
        trainer(max_epochs=2, precision="bf16-mixed").fit(stream, batches(4, size=4), batches(2))
        steps.append(flat(stream.network) - before)
    assert torch.nn.functional.cosine_similarity(*steps, 0) > 0.999
