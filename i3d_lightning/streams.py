"""The LightningModule that wraps each stream: network, loss, metrics, optimiser, predictions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from i3d_lightning import speed
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.plan import Training, digest
from i3d_lightning.video.transforms import normalise

log = logging.getLogger(__name__)


class VideoStream(L.LightningModule):
    """One stream of a two-stream model: trains on clips, tests on whole videos.

    Args:
        network: Takes clips `b c t h w` in [-1, 1] and gives logits per time step, `b k s`.
        classes: Number of classes k.
        training: Loss, optimiser and schedule settings.
        seed: Dropout derives from it and the position in training alone, so that a resumed run
            equals an undisturbed one (Lightning does not restore random state).

    Attributes:
        predictions: After testing, on every process: index of a video -> its logits (k), float32,
            averaged over time (or, for an LSTM, the last step's) before any softmax.
        unreadable: After testing: index of a video that could not be decoded -> why.
    """

    def __init__(self, network: VideoNetwork, classes: int, training: Training, seed: int) -> None:
        super().__init__()
        self.network = channels_last(network)
        self.training_settings = training
        self.seed = seed
        self.predictions: dict[int, Tensor] = {}
        self.unreadable: dict[int, str] = {}
        self._plateau_state: dict[str, Any] | None = None
        self.plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self.metrics = nn.ModuleDict({part: _metrics(classes) for part in ("fit", "val")})
        # Only training steps: their clips are all of one size, and those of tests are not.
        compiled = speed.choose(training.speed).compiled
        self._trained = torch.compile(self.forward) if compiled else self.forward

    def forward(self, clips: Sequence[Tensor]) -> Tensor:
        """Logits `b k s` of uint8 clips `b c t h w`, one for each thing that the network sees."""
        return self.network(*map(prepare, clips)).float()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        position = digest(self.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(position[:12], 16))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "fit")

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._step(batch, "val")

    def _step(self, batch: dict[str, Any], part: str) -> Tensor:
        forward = self._trained if part == "fit" else self
        steps, labels = forward(batch["clips"]), batch["label"]
        logits = self.network.over_steps(steps)
        if self.network.supervised_at_every_step:
            loss = F.cross_entropy(steps, labels[:, None].expand(-1, steps.shape[2]))
        else:
            loss = F.cross_entropy(logits, labels)
        metrics = self.metrics[part]
        metrics["loss"](loss.detach(), len(logits))  # type: ignore[index,operator]
        for name in ("top1", "top5"):
            metrics[name](logits.detach(), labels)  # type: ignore[index,operator]
        return loss

    def on_validation_epoch_end(self) -> None:
        loss = self._log_metrics("val")["loss"]
        if self.plateau is not None and not self.trainer.sanity_checking:
            # Lightning would step it after the checkpoint is written and not again on resume.
            self.plateau.step(loss)

    def on_train_epoch_end(self) -> None:
        """Says where training is, after each validation, for people and for log files."""
        fit, logged = self._log_metrics("fit"), self.trainer.callback_metrics
        held_out = waited = ""
        if "val/loss" in logged:
            held_out = f", held out {logged['val/loss']:.3f} / {100 * logged['val/top1']:.1f} %"
        if "fit/stall" in logged:
            waited = f", {logged['fit/stall']:.0%} of the time waiting for data"
        if self.trainer.is_global_zero:
            log.info(
                "  step %d: loss and top-1 %.3f / %.1f %%%s%s",
                self.global_step, fit["loss"], 100 * fit["top1"], held_out, waited,
            )  # fmt: skip

    def _log_metrics(self, part: str) -> dict[str, Tensor]:
        values = {name: metric.compute() for name, metric in self.metrics[part].items()}  # type: ignore[operator,union-attr]
        for name, metric in self.metrics[part].items():  # type: ignore[operator,union-attr]
            self.log(f"{part}/{name}", values[name], prog_bar=name != "top5", rank_zero_only=True)
            metric.reset()
        return values

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._plateau_state = checkpoint.get("plateau")

    def on_train_start(self) -> None:
        if self.plateau is not None and self._plateau_state is not None:
            self.plateau.load_state_dict(self._plateau_state)

    def on_test_start(self) -> None:
        self.predictions, self.unreadable = {}, {}

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.unreadable |= batch["unreadable"]
        for group in batch["groups"]:
            predicted = self.network.over_steps(self(group["clips"])).cpu()
            self.predictions |= zip(group["index"].tolist(), predicted, strict=True)

    def on_test_epoch_end(self) -> None:
        self.predictions = merged(self.predictions)
        self.unreadable = merged(self.unreadable)

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        optimizer: torch.optim.Optimizer
        if settings.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                self.network.parameters(),
                lr=settings.scaled_learning_rate,
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        else:
            optimizer = torch.optim.AdamW(
                self.network.parameters(),
                lr=settings.scaled_learning_rate,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        if settings.schedule == "plateau":
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.1, patience=settings.patience
            )
            return optimizer
        scheduler: torch.optim.lr_scheduler.LRScheduler
        if settings.schedule == "stages":
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_stage, settings.stages))
        else:
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.steps)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class FrozenStream(L.LightningModule):
    """A network that never trains: gives each video's features to whoever stores them.

    It stays in `eval()` through every `train()` call, so BatchNorm neither uses nor updates batch
    statistics, and no parameter asks for a gradient.

    Args:
        network: The network.
        keep: Called with the index of a video and its features (f), over all time steps.
    """

    def __init__(self, network: VideoNetwork, keep: Any) -> None:
        super().__init__()
        self.network = channels_last(network).requires_grad_(False).eval()
        self.keep = keep
        self.unreadable: dict[int, str] = {}

    def train(self, mode: bool = True) -> FrozenStream:
        return super().train(False)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.unreadable |= batch["unreadable"]
        for group in batch["groups"]:
            steps = self.network.forward_features(*map(prepare, group["clips"])).float()
            features = self.network.over_steps(steps).cpu()
            for index, feature in zip(group["index"].tolist(), features, strict=True):
                self.keep(index, feature)

    def on_predict_epoch_end(self) -> None:
        self.unreadable = merged(self.unreadable)


def _stage(stages: Sequence[tuple[int, float]], step: int) -> float:
    """What the learning rate is multiplied by at a step."""
    return next((factor for start, factor in reversed(stages) if step >= start), 1.0)


def _metrics(classes: int) -> nn.ModuleDict:
    top = {f"top{k}": MulticlassAccuracy(classes, top_k=min(k, classes), average="micro") for k in (1, 5)}
    return nn.ModuleDict({"loss": MeanMetric(), **top})


def channels_last(network: VideoNetwork) -> VideoNetwork:
    """The same network with its filters laid out channels last in memory, in 2-D and in 3-D."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in network.parameters():
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])
    return network


def prepare(clip: Tensor) -> Tensor:
    """uint8 `b c t h w` as the network wants it: in [-1, 1], channels last in memory."""
    return normalise(clip.contiguous(memory_format=torch.channels_last_3d))


def merged(mine: dict[int, Any]) -> dict[int, Any]:
    """All processes' entries, by key: what a padded DistributedSampler counts twice is kept once."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return dict(sorted(mine.items()))
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return dict(sorted((key, value) for part in parts for key, value in part.items()))
