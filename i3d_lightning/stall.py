"""How much of the time in training goes by waiting for data."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


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
