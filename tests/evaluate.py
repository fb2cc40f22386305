"""Tests a checkpoint of each architecture on the videos of a data set, with one process or several.

    python tests/evaluate.py ROOT FOLDER PROCESSES

writes FOLDER/<processes>/<architecture>.npz; the checkpoints are made where they are not there yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
import torch
from tiny import SMALLEST, TINY

from i3d_lightning import networks
from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.manifest import load_manifest
from i3d_lightning.experiment import Experiment
from i3d_lightning.flow import FlowStore
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.protocols.base import to_predictions
from i3d_lightning.recipe import Clips
from i3d_lightning.study.recipes import recipe_for
from i3d_lightning.training.streams import VideoStream, prepare


def main(root: Path, folder: Path, processes: int) -> None:
    torch.set_num_threads(1)  # other numbers of threads sum in another order
    data = load_manifest("ucf101", root, 1, folder / "manifests").data
    trainer = L.Trainer(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto",
        precision="32-true", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    for architecture in networks.paper():
        name = architecture.name
        cell = Experiment(name, architecture.usual_streams[0], "none", "origin", "ucf101")
        recipe, _ = recipe_for(cell, {**TINY, "clips": {**TINY["clips"], **SMALLEST[name]}})
        FlowStore(folder / "flow", recipe.flow, recipe.clips.fps, recipe.clips.short_side).compute(
            [video.file for video in data.test]
        )
        checkpoint = folder / f"{name}.pt"
        network = networks.build(cell, len(data.classes), recipe)
        module = VideoDataModule(data, cell.stream, recipe, 0, flow_root=folder / "flow")
        if not checkpoint.exists():
            tell_apart(network, module)
            torch.save(network.state_dict(), checkpoint)
        network.load_state_dict(torch.load(checkpoint))
        stream = VideoStream(network, len(data.classes), recipe, 0)
        trainer.test(stream, datamodule=module, verbose=False)
        if trainer.is_global_zero:
            rows = list(stream.predictions)
            logits = [stream.predictions[row] for row in rows]
            videos = [data.test[row] for row in rows]
            predictions = to_predictions(
                videos, {video.id: row for video, row in zip(videos, logits, strict=True)}, len(data.classes)
            )
            predictions.save(folder / str(processes) / f"{name}.npz")


@torch.no_grad()
def tell_apart(network: VideoNetwork, module: VideoDataModule) -> None:
    """Makes the logits of an untrained network differ from video to video."""
    videos = [group["clips"] for batch in module.test_dataloader() for group in batch["groups"]]
    clips = [prepare(torch.cat(same), Clips()) for same in zip(*videos, strict=True)]
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    network.train()(*clips)
    logits = network.eval().pool_time(network(*clips))
    network.classifier.weight /= (logits - logits.mean(0)).abs().mean()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
