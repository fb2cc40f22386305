from __future__ import annotations

import time

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from i3d_lightning.training.meters import MemoryMeter, StallMeter


class Slow(Dataset):
    """Eight numbers that take their time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> float:
        time.sleep(self.seconds)
        return float(index)


class Model(L.LightningModule):
    """Its steps take their time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seconds = seconds

    def training_step(self, batch, batch_idx):
        time.sleep(self.seconds)
        return (self.weight * batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def stall(data: float, step: float, workers: int = 0) -> float:
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[StallMeter()],
    )  # fmt: skip
    trainer.fit(Model(step), DataLoader(Slow(data), batch_size=1, num_workers=workers))
    return float(trainer.callback_metrics["fit/stall"])


def test_the_share_of_time_waited_for_data():
    assert stall(data=0.06, step=0.0) > 0.8
    assert stall(data=0.0, step=0.06) < 0.2
    assert 0.3 < stall(data=0.06, step=0.06) < 0.7


class Hungry(L.LightningModule):
    """Testing it takes a while, and memory."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def test_step(self, batch, batch_idx):
        torch.ones(self.size, dtype=torch.uint8)


def test_the_memory_of_a_test_and_not_of_what_was_before_it():
    torch.ones(1 << 30, dtype=torch.uint8)  # freed at once
    peaks = {}
    for size in (1 << 10, 3 << 28):
        meter = MemoryMeter()
        trainer = L.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[meter],
        )
        trainer.test(Hungry(size), DataLoader(Slow(0.0), batch_size=8), verbose=False)
        peaks[size] = meter.peak
    assert 0.9 < (peaks[3 << 28] - peaks[1 << 10]) / (3 << 28) < 1.1
