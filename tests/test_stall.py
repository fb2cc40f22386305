from __future__ import annotations

import time

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from i3d_lightning.stall import StallMeter


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
