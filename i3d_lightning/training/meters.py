"""What training shows, loss and accuracy, and what it and tests cost: time waited for data, and memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric


class Accuracy(Metric):
    """The share of clips whose class is among the k highest logits.

    Ties count against: the class of a clip comes after all that have the same logit, so that a network that
    has nothing to say is not right.
    """

    hits: Tensor
    seen: Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        for state in ("hits", "seen"):
            self.add_state(state, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add clips: logits `b k` and labels `b`."""
        place = (logits >= logits.gather(1, labels[:, None])).sum(1)
        self.hits += ((place <= self.k) & logits.isfinite().all(1)).sum()
        self.seen += len(labels)

    def compute(self) -> Tensor:
        """Give the share."""
        return self.hits.float() / self.seen.float()


def make_meters(classes: int) -> nn.ModuleDict:
    """Make what measures the passes over a part of the data: `loss`, `top1`, and `top5` where that says more.

    Of five classes or fewer, the right one is always among the five best.
    """
    top = {f"top{k}": Accuracy(k) for k in (1, 5) if k == 1 or classes > k}
    return nn.ModuleDict({"loss": MeanMetric(nan_strategy="disable"), **top})


def state_of(meters: Mapping[str, Metric]) -> dict[str, Any]:
    """Give what meters have measured until now, in this process."""
    return {
        name: {"updates": meter.update_count}
        | {key: torch.as_tensor(value).cpu().clone() for key, value in meter.metric_state.items()}
        for name, meter in meters.items()
    }


def set_state(meters: Mapping[str, Metric], state: dict[str, Any]) -> None:
    """Let meters go on from what others had measured."""
    for name, meter in meters.items():
        for key in meter.metric_state:
            setattr(meter, key, state[name][key].to(meter.device))
        meter._update_count = state[name]["updates"]


class StallMeter(L.Callback):
    """Logs `fit/stall`: the share of an epoch's time, so far, between the end of a step and its next clips.

    It shows in the progress bar and in every logger. On a GPU, steps still under way while the host waits
    make it an upper bound.
    """

    def __init__(self) -> None:
        self._began = self._ended = self._waited = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._began = self._ended = time.perf_counter()
        self._waited = 0.0

    on_train_start = on_train_epoch_start  # in the middle of an epoch, where a run is resumed there

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._waited += time.perf_counter() - self._ended

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._ended = time.perf_counter()
        share = self._waited / (self._ended - self._began)
        pl_module.log("fit/stall", share, prog_bar=True, rank_zero_only=True)


class MemoryMeter(L.Callback):
    """Measures the most memory that a pass over whole videos takes.

    On a GPU that is what PyTorch allocates on it, else the largest size of this process, data-loading
    processes left out.

    Attributes:
        peak: Bytes, over all passes so far; None where the system does not say.
    """

    def __init__(self) -> None:
        self.peak: int | None = None

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        forget_peak(pl_module.device)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = peak(pl_module.device)
        if found is not None:
            self.peak = max(found, self.peak or 0)

    on_predict_start, on_predict_end = on_test_start, on_test_end


_PROCESS = Path("/proc/self")


def forget_peak(device: torch.device) -> None:
    """Let `peak` count from now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # where that is not allowed, the process's largest size until now counts
            (_PROCESS / "clear_refs").write_text("5")  # see proc(5)


def peak(device: torch.device) -> int | None:
    """Give the most bytes that PyTorch allocated on a GPU, or that this process held, where that is told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not _PROCESS.exists():
        return None
    lines = (_PROCESS / "status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
