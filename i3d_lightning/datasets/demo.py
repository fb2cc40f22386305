"""The rendered data sets: in the layouts of the real ones, so their readers read them.

They run small: 16 frames of 48 px, minutes instead of days on two CPU cores. They are not mirrored, since
some classes differ by direction alone. Their runs are short: the learning rate is annealed, and batch
normalisation keeps up with the last micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from i3d_lightning.datasets.hmdb51 import read_hmdb51
from i3d_lightning.datasets.imagenet import read_imagenet
from i3d_lightning.datasets.kinetics import read_kinetics
from i3d_lightning.datasets.registry import Dataset, Read, register
from i3d_lightning.datasets.split import DatasetSplit
from i3d_lightning.datasets.ucf101 import read_ucf101
from i3d_lightning.demo import is_development, use_demo
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Changes, merge

FAMILY = "demo"
TARGETS = ("demo-ucf101", "demo-hmdb51")
ROOT = Path("data/demo")

_DEMO: Changes = {
    "clips": {
        "short_side": 56,
        "crop": 48,
        "train_frames": 16,
        "test_frames": 20,
        "flip": False,
        "fps": 25.0,
    },
    "flow": {
        "scales": 2,
        "scale_step": 0.5,
        "warps": 2,
        "inner_iterations": 5,
        "outer_iterations": 1,
        "median": 1,
        "bound": 5.0,
    },
    "training": {
        "steps": 240,
        "validate_every": 60,
        "batch_size": 8,
        "reference_batch": 8,
        "device_batch": 8,
        "optimizer": "adamw",
        "learning_rate": 4e-4,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "batchnorm_momentum": 0.1,
        "warmup_steps": 0,
    },
}
# Steps and rates are those that experiments/demo-sweep.yaml chose on the development set.
_FULL_FT: Changes = {"training": {"learning_rate": 1e-4}}
_CLIPS: dict[str, Changes] = {  # the videos have 20 to 23 frames
    "convnet": {"clips": {"train_frames": 1}},
    "convnet-lstm": {"clips": {"snapshot": 2}},
    "c3d": {"clips": {"short_side": 40, "crop": 32}},
    "two-stream": {"clips": {"train_frames": 10}},
    "fused-3d": {"clips": {"train_frames": 20}},
}
_KINETICS: Changes = {
    "training": {"steps": 700, "validate_every": 175, "dropout": 0.0},
}
_IMAGENET: Changes = {
    "training": {
        **_KINETICS["training"],
        "steps": 600,
        "validate_every": 200,
        "batch_size": 32,
        "reference_batch": 32,
        "device_batch": 32,
    },
}


def _recipe(*changes: Changes) -> Callable[[Experiment], Changes]:
    def recipe_for(experiment: Experiment) -> Changes:
        chosen = _FULL_FT if experiment.protocol == "full-ft" else {}
        clips = _CLIPS.get(experiment.architecture) or _square(experiment.architecture)
        return merge(_DEMO, clips, chosen, *changes)

    return recipe_for


def _square(architecture: str) -> Changes:
    """The largest square that a network takes, up to that of all others."""
    from i3d_lightning.networks.registry import (
        ARCHITECTURES,
    )  # torch, for which listing data sets need not wait

    network, side = ARCHITECTURES.get(architecture), _DEMO["clips"]["crop"]
    multiple = network.multiple[1] if network else 1
    return {"clips": {"crop": side // multiple * multiple}}


def _below(folder: str, read: Read) -> Read:
    """The reader of a real data set, for the rendered one that lies in a folder of the demo's root."""

    def read_below(root: Path, split: int) -> DatasetSplit:
        return read(root / folder, split)

    return read_below


for _dataset in (
    Dataset("demo-ucf101", _below("ucf101", read_ucf101), (1, 2, 3), _recipe(), stands_for="ucf101"),
    Dataset("demo-hmdb51", _below("hmdb51", read_hmdb51), (1, 2, 3), _recipe(), stands_for="hmdb51"),
    Dataset(
        "demo-kinetics",
        _below("kinetics", read_kinetics),
        recipe=_recipe(_KINETICS),
        teaches="kinetics",
        stands_for="kinetics",
    ),
    Dataset(
        "demo-imagenet",
        _below("imagenet", read_imagenet),
        recipe=_recipe(_IMAGENET),
        teaches="imagenet",
        images=True,
        groups=False,
    ),
):
    register(replace(_dataset, family=FAMILY, root=ROOT, prepare=use_demo, development=is_development))
