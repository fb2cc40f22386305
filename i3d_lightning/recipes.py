"""The settings of each experiment: the authors' for real data sets, small ones for the rendered.

A recipe is put together from the architecture's clips (Table 1), the data set's training, and what
the user changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from i3d_lightning import architectures, plan
from i3d_lightning.plan import Architecture, Clips, Experiment, InputError, Recipe, Stream, Training

Changes = Mapping[str, Any]

# The schedules of the authors' released weights, as they gave them to users of their code: 64 replicas of
# 6 clips (https://github.com/google-deepmind/kinetics-i3d). The paper (section 4) says 110k steps.
_KINETICS = {
    "batch_size": 384,
    "reference_batch": 384,
    "learning_rate": 0.1,
    "schedule": "stages",
    "validate_every": 2_500,
    "validation_fraction": 0.01,
}
_KINETICS_RGB: Changes = {
    "training": {**_KINETICS, "steps": 115_000, "stages": ((97_000, 0.1), (108_000, 0.01))},
}
KINETICS: Mapping[Stream, Changes] = {
    "rgb": _KINETICS_RGB,
    "joint": _KINETICS_RGB,
    "flow": {
        "training": {
            **_KINETICS,
            "steps": 155_000,
            "stages": ((97_000, 0.1), (104_500, 0.01), (115_000, 1.0), (140_000, 0.1), (150_000, 0.01)),
        },
    },
}

# 90 passes over 1.28 million images, learning rate divided by 10 every 30, as is usual for torchvision's
# networks: https://github.com/pytorch/vision/tree/main/references/classification
IMAGENET: Changes = {
    "training": {
        "steps": 450_000,
        "validate_every": 5_000,
        "validation_fraction": 0.01,
        "batch_size": 256,
        "reference_batch": 256,
        "device_batch": 256,
        "learning_rate": 0.1,
        "schedule": "stages",
        "stages": ((150_000, 0.1), (300_000, 0.01)),
        "weight_decay": 1e-4,
        "dropout": 0.2,
    },
}

# The demo sets run small: 16 frames of 48 px, minutes instead of days on two CPU cores. They are not
# mirrored, since some classes differ by direction alone, and their runs are too short to watch a plateau.
DEMO: Changes = {
    "clips": {"short_side": 56, "crop": 48, "train_frames": 16, "test_frames": 20, "flip": False},
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
        "steps": 120,
        "validate_every": 60,
        "batch_size": 8,
        "reference_batch": 8,
        "device_batch": 8,
        "optimizer": "adamw",
        "learning_rate": 4e-4,
        "weight_decay": 1e-2,
        "schedule": "cosine",
    },
}
# Gently, as is usual: at the rate of a start from nothing, features are overwritten instead of adapted.
DEMO_FULL_FT: Changes = {"training": {"learning_rate": 1e-4}}
DEMO_CLIPS: Mapping[Architecture, Changes] = {  # the demo videos have 20 to 23 frames
    "convnet": {"clips": {"train_frames": 1, "test_frames": 1}},
    "convnet-lstm": {"clips": {"snapshot": 2}},
    "c3d": {"clips": {"short_side": 40, "crop": 32}},
    "two-stream": {"clips": {"train_frames": 10}},
    "fused-3d": {"clips": {"train_frames": 20}},
    "i3d": {},
}
DEMO_PRETRAINING: Changes = {
    "training": {"steps": 700, "validate_every": 175, "validation_fraction": 0.03, "dropout": 0.0},
}
DEMO_IMAGENET: Changes = {
    "training": {
        **DEMO_PRETRAINING["training"],
        "steps": 600,
        "validate_every": 200,
        "batch_size": 32,
        "reference_batch": 32,
        "device_batch": 32,
    },
}


def recipe_for(experiment: Experiment, changes: Changes) -> Recipe:
    """The settings of an experiment: Table 1's clips, the data set's recipe, the user's changes.

    Raises:
        InputError: A setting is unknown, or its value does not suit the architecture.
    """
    recipe = Recipe(clips=architectures.spec(experiment.architecture).clips)
    recipe = plan.compose(recipe, *_usual(experiment), changes)
    _check_clips(experiment, recipe.clips)
    _check_training(recipe.training)
    return recipe


def _usual(experiment: Experiment) -> list[Changes]:
    """What a data set and protocol change of the paper's recipe for UCF-101 and HMDB-51."""
    dataset = experiment.dataset
    if not plan.is_demo(dataset):
        if plan.is_kinetics(dataset):
            return [KINETICS[experiment.stream]]
        return [IMAGENET] if plan.is_imagenet(dataset) else []
    usual = [DEMO, DEMO_CLIPS.get(experiment.architecture, {})]
    if experiment.protocol == "full-ft":
        usual.append(DEMO_FULL_FT)
    if plan.is_kinetics(dataset):
        usual.append(DEMO_PRETRAINING)
    if plan.is_imagenet(dataset):
        usual.append(DEMO_IMAGENET)
    return usual


def _check_training(training: Training) -> None:
    plan.check_known("speed", training.speed, get_args(plan.Speed))
    if training.recompute and training.speed == "compiled":
        raise InputError(
            "training.recompute and speed 'compiled' exclude each other, as compiling chooses what to "
            "recompute by itself: drop one of them."
        )


def _check_clips(experiment: Experiment, clips: Clips) -> None:
    frames, pixels = architectures.spec(experiment.architecture).smallest
    for name, least in (("train_frames", frames), ("test_frames", frames), ("crop", pixels)):
        given = getattr(clips, name)
        if given < least:
            raise InputError(f"clips.{name} is {given}, but {experiment.architecture} takes {least} or more.")
    for name in ("train_frames", "test_frames"):
        if getattr(clips, name) % clips.snapshot:
            raise InputError(
                f"clips.{name} is {getattr(clips, name)}, but must be a multiple of clips.snapshot "
                f"({clips.snapshot})."
            )
    if clips.crop > clips.short_side:
        raise InputError(f"clips.crop {clips.crop} must not exceed clips.short_side {clips.short_side}.")
