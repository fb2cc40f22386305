"""A recipe for tests: the real networks on clips as small as they take."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.recipe import Changes, Clips, Training
from i3d_lightning.results.runs import Run
from i3d_lightning.study import run as study_run
from i3d_lightning.study.planner import Plan, plan
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.video import transforms
from i3d_lightning.weights import save_weights

TINY = {
    "clips": {"short_side": 32, "crop": 32, "train_frames": 9, "test_frames": 12, "flip": False},
    "flow": {"scales": 1, "warps": 1, "inner_iterations": 3, "outer_iterations": 1, "bound": 4.0},
    "training": {
        "steps": 4,
        "validate_every": 2,
        "validation_fraction": 0.25,
        "batch_size": 6,
        "reference_batch": 6,
        "device_batch": 6,
        "stages": [[2, 0.1], [3, 0.01]],
        "batchnorm_momentum": 0.1,
        "workers": 0,
        "precision": "float32",
    },
}

SMALLEST = {
    "convnet": {"train_frames": 1, "test_frames": 1},
    "convnet-lstm": {"train_frames": 4, "test_frames": 4, "snapshot": 2},
    "c3d": {"train_frames": 16, "test_frames": 16},
    "two-stream": {"train_frames": 10, "test_frames": 10},
    "fused-3d": {"train_frames": 10, "test_frames": 10},
    "i3d": {"train_frames": 9, "test_frames": 9},
}
"""The shortest clips of each architecture, whole snapshots."""


def recipe_flags(changes: Changes = TINY) -> list[str]:
    """Settings as flags of the command line."""
    return [
        f"--recipe.{part}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for part, settings in changes.items()
        for key, value in settings.items()
    ]


def centre_crop(clip: Tensor, size: int) -> Tensor:
    """The square in the middle of every frame."""
    return transforms.crop(clip, *transforms.centre_place(clip.shape, size), size)


def plan_one(
    experiment: Experiment,
    space: Workspace,
    *,
    root: Path | None = None,
    weights: Path | str | None = None,
    changes: Changes = TINY,
) -> Plan:
    """Plan an experiment, and the pretraining that it starts from with the same settings."""
    return plan(
        [experiment],
        space,
        roots={experiment.dataset: root} if root else {},
        weights={experiment.stream: weights and str(weights)},
        settings=lambda _: changes,
    )


def run_one(experiment: Experiment, space: Workspace, **given: object) -> Run:
    """Plan an experiment and run all cells of the plan here; errors are raised."""
    done = [study_run.run(cell, space) for cell in plan_one(experiment, space, **given).cells.values()]  # type: ignore[arg-type]
    return done[-1]


def save_untrained(
    path: Path,
    architecture: str = "i3d",
    stream: str = "rgb",
    classes: int = 5,
    pretraining: str = "kinetics",
) -> Path:
    """Write weights of an untrained network that claim a pretraining, prepared as `TINY` prepares clips."""
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture].build(classes, stream, Clips(), Training())
    labels = tuple(f"class {i}" for i in range(classes))
    save_weights(
        path,
        network,
        architecture=architecture,
        stream=stream,
        pretraining=pretraining,
        labels=labels,
        clips=Clips(short_side=32, crop=32),
    )
    return path
