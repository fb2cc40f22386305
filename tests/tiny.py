"""A recipe for tests: the real networks on clips as small as they take."""

from __future__ import annotations

import json

from torch import Tensor

from i3d_lightning.video import transforms

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
        "workers": 0,
        "speed": "exact",
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


def recipe_flags() -> list[str]:
    """`TINY` as flags of the command line."""
    return [
        f"--recipe.{part}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for part, settings in TINY.items()
        for key, value in settings.items()
    ]


def centre_crop(clip: Tensor, size: int) -> Tensor:
    """The square in the middle of every frame."""
    return transforms.crop(clip, *transforms.centre_place(clip.shape, size), size)
