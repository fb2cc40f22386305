"""The LightningModules around a network: one trains and tests it, the other extracts features."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import lightning as L
import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from i3d_lightning.datasets.clips import Batch, WholeBatch
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import WHOLE, Clips, Recipe, digest
from i3d_lightning.training.finite import diverged
from i3d_lightning.training.meters import make_meters
from i3d_lightning.training.mixup import Mixing, draw
from i3d_lightning.training.optimisers import ParameterGroups, StagedLR, make_optimizer, make_schedule
from i3d_lightning.video.transforms import mirror, normalise

log = logging.getLogger(__name__)

Key = TypeVar("Key", int, str)


class VideoStream(L.LightningModule):
    """One stream of a two-stream model: trains on clips, tests on whole videos.

    Args:
        network: Takes normalised clips `b c t h w` and gives logits per time step, `b k s`.
        classes: Number of classes k.
        recipe: How clips are normalised and the network is trained.
        seed: Dropout and mixup derive from it and the position in training alone, so that a resumed run
            equals an undisturbed one (Lightning does not restore random state).
        parameter_groups: Parts the parameters into groups with rates of their own; by default all are one.

    Attributes:
        predictions: After testing, on every process: index of a video -> its logits (k), float32,
            averaged over time (or, for an LSTM, the last step's) before any softmax.
        unreadable: After testing: index of a video that could not be read -> why.
        partly: After testing: index of a video that was read only in part -> how much of it.
        looped: After testing: indices of videos that were looped to the length of a training clip.
        logged: Loss and accuracies of the last passes over training and held-out clips; under mixup those of
            mixed clips, of which the label with the larger share counts.
    """

    def __init__(
        self,
        network: VideoNetwork,
        classes: int,
        recipe: Recipe,
        seed: int,
        parameter_groups: ParameterGroups | None = None,
    ) -> None:
        super().__init__()
        self.network = channels_last(network)
        self.recipe, self.seed, self.parameter_groups = recipe, seed, parameter_groups
        self.predictions: dict[int, Tensor] = {}
        self.unreadable: dict[int, str] = {}
        self.partly: dict[int, str] = {}
        self.looped: list[int] = []
        self.logged: dict[str, float] = {}
        self.metrics = nn.ModuleDict({part: make_meters(classes) for part in ("fit", "val")})
        # Only training steps: their clips are all of one size, and those of tests are not.
        self._trained = torch.compile(self.forward) if recipe.training.compile else self.forward

    def forward(self, clips: Sequence[Tensor], mixing: Mixing | None = None) -> Tensor:
        """Give logits `b k s` of uint8 clips `b c t h w`, one for each thing that is seen, mixed or not."""
        seen = [prepare(clip, self.recipe.clips) for clip in clips]
        return self.network(*(mixing.mixed(clip) if mixing else clip for clip in seen)).float()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(self._seed_at(batch_idx))

    def _seed_at(self, batch_idx: int, *what: str) -> int:
        """A seed of its own for this process at this place in training, and what it is for."""
        position = digest(self.seed, self.current_epoch, batch_idx, self.global_rank, *what)
        return int(position[:12], 16)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, "fit", self._mixing(batch, batch_idx))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "val")

    def _mixing(self, batch: Batch, batch_idx: int) -> Mixing | None:
        alpha, labels = self.recipe.training.mixup, batch["label"]
        if not alpha:
            return None
        if len(labels) < 2:
            raise InputError(
                "training.mixup mixes clips that a device holds at once, but each holds one here, as its "
                "share of a step divides no better: choose another --recipe.training.batch_size."
            )
        return draw(alpha, len(labels), self._seed_at(batch_idx, "mixup"), labels.device)

    def _step(self, batch: Batch, part: str, mixing: Mixing | None = None) -> Tensor:
        forward = self._trained if part == "fit" else self
        clips, labels = cast(Any, batch["clips"]), batch["label"]
        steps = forward(clips, mixing)
        logits = self.network.pool_time(steps)

        def loss_for(labels: Tensor) -> Tensor:
            if self.network.supervised_at_every_step:
                return F.cross_entropy(steps, labels[:, None].expand(-1, steps.shape[2]))
            return F.cross_entropy(logits, labels)

        loss = mixing.loss(loss_for, labels) if mixing else loss_for(labels)
        counted = mixing.heavier(labels) if mixing else labels
        metrics = self.metrics[part]
        metrics["loss"].update(loss.detach(), len(logits))  # type: ignore[index,union-attr,operator]
        for name, meter in metrics.items():  # type: ignore[operator,union-attr]
            if name != "loss":
                meter.update(logits.detach(), counted)
        return loss

    def on_validation_epoch_end(self) -> None:
        loss = self._log_metrics("val")["loss"]
        if not loss.isfinite():
            raise diverged("The loss of the held-out clips", self.global_step, self.recipe.training)
        schedule = self.lr_schedulers()
        if self.recipe.training.schedule == "plateau" and not self.trainer.sanity_checking:
            cast(StagedLR, schedule).saw(float(loss))  # before the checkpoint is written

    def on_train_epoch_end(self) -> None:
        """Log where training is, before each checkpoint."""
        fit, logged = self._log_metrics("fit"), self.trainer.callback_metrics
        held_out = waited = ""
        mixed = " of mixed clips" if self.recipe.training.mixup else ""
        if "val/loss" in logged:
            held_out = f", held out {logged['val/loss']:.3f} / {100 * logged['val/top1']:.1f} %"
        if "fit/stall" in logged:
            waited = f", {logged['fit/stall']:.0%} of the time waiting for data"
        if self.trainer.is_global_zero:
            log.info(
                "  step %d: loss and top-1%s %.3f / %.1f %%%s%s",
                self.global_step, mixed, fit["loss"], 100 * fit["top1"], held_out, waited,
            )  # fmt: skip

    def _log_metrics(self, part: str) -> dict[str, Tensor]:
        values = {name: metric.compute() for name, metric in self.metrics[part].items()}  # type: ignore[operator,union-attr]
        for name, metric in self.metrics[part].items():  # type: ignore[operator,union-attr]
            self.log(f"{part}/{name}", values[name], prog_bar=name != "top5", rank_zero_only=True)
            self.logged[f"{part}/{name}"] = float(values[name])
            metric.reset()
        return values

    def on_test_start(self) -> None:
        self.predictions, self.unreadable, self.partly, self.looped = {}, {}, {}, []

    def test_step(self, batch: WholeBatch, batch_idx: int) -> None:
        self.unreadable |= batch["unreadable"]
        self.partly |= batch["partly"]
        self.looped += batch["looped"]
        for group in batch["groups"]:
            predicted = of_whole_videos(
                lambda *clips: self.network.pool_time(self(clips)), group["clips"], self.recipe.clips
            ).cpu()
            self.predictions |= zip(group["index"].tolist(), predicted, strict=True)

    def on_test_epoch_end(self) -> None:
        self.predictions = merged(self.predictions)
        self.unreadable, self.partly = merged(self.unreadable), merged(self.partly)
        self.looped = list(merged(dict.fromkeys(self.looped)))

    def configure_optimizers(self) -> Any:
        training = self.recipe.training
        optimizer = make_optimizer(self.network, training, self.parameter_groups)
        return [optimizer], [{"scheduler": make_schedule(optimizer, training), "interval": "step"}]


class FrozenStream(L.LightningModule):
    """A network that never trains, and hands on each video's features.

    It stays in `eval()` through every `train()` call, so BatchNorm neither uses nor updates batch
    statistics, and no parameter asks for a gradient.

    Args:
        network: The network.
        clips: How clips are normalised.
        keep: Called with the index of a video, its features (f), pooled over time, and how much of it was
            read where that is not all.

    Attributes:
        unreadable: After prediction: index of a video that could not be read -> why.
        looped: After prediction: indices of videos that were looped to the length of a training clip.
    """

    def __init__(
        self, network: VideoNetwork, clips: Clips, keep: Callable[[int, Tensor, str | None], None]
    ) -> None:
        super().__init__()
        self.network = channels_last(network).requires_grad_(False).eval()
        self.clips, self.keep = clips, keep
        self.unreadable: dict[int, str] = {}
        self.looped: list[int] = []

    def train(self, mode: bool = True) -> FrozenStream:
        return super().train(False)

    def predict_step(self, batch: WholeBatch, batch_idx: int) -> None:
        self.unreadable |= batch["unreadable"]
        self.looped += batch["looped"]
        for group in batch["groups"]:
            features = of_whole_videos(self._features, group["clips"], self.clips).cpu()
            for index, feature in zip(group["index"].tolist(), features, strict=True):
                self.keep(index, feature, batch["partly"].get(index))

    def _features(self, *clips: Tensor) -> Tensor:
        features = self.network.forward_features(*(prepare(clip, self.clips) for clip in clips))
        return self.network.pool_time(features.float())

    def on_predict_epoch_end(self) -> None:
        self.unreadable = merged(self.unreadable)
        self.looped = list(merged(dict.fromkeys(self.looped)))


def warn_of_looped(videos: Sequence[Video], looped: Sequence[int], clips: Clips) -> None:
    """Say which videos are so short that they were looped to the length of a training clip."""
    if looped:
        log.warning(
            "  %d of %d videos are shorter than a clip of %d frames at %g a second and are looped, such as "
            "%s.",
            len(looped), len(videos), clips.train_frames, clips.fps, videos[looped[0]].id,
        )  # fmt: skip


def channels_last(network: VideoNetwork) -> VideoNetwork:
    """Lay a network's filters out channels last in memory, in 2-D and in 3-D, and give it back."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in network.parameters():
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])
    return network


def of_whole_videos(compute: Callable[..., Tensor], clips: Sequence[Any], settings: Clips) -> Tensor:
    """Compute something of clips `b c t h w`, averaged over mirror images and views where these are set.

    Views of a video follow each other in time, each as long as a training clip.
    """
    if settings.views != WHOLE:
        count = math.prod(settings.clips_and_squares)
        views = zip(*(clip.chunk(count, dim=2) for clip in clips), strict=True)
        one = replace(settings, views=WHOLE)
        return torch.stack([of_whole_videos(compute, view, one) for view in views]).mean(dim=0)
    found = compute(*clips)
    return (found + compute(*map(mirror, clips))) / 2 if settings.test_flip else found


def prepare(clip: Tensor, clips: Clips) -> Tensor:
    """Make the network's input of uint8 clips `b c t h w`: normalised, channels last in memory."""
    return normalise(clip.contiguous(memory_format=torch.channels_last_3d), clips)


def merged(mine: dict[Key, Any]) -> dict[Key, Any]:
    """Gather all processes' entries, by key: what a padded DistributedSampler gives twice is kept once."""
    entries = {key: value for part in gathered(mine) for key, value in part.items()}
    return {key: entries[key] for key in sorted(entries)}


def gathered(mine: Any) -> list[Any]:
    """Gather what each process has, in their order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [mine]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return parts
