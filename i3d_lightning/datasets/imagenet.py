"""ImageNet (Russakovsky et al., 2015, https://arxiv.org/abs/1409.0575), or any folder of its form."""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.datasets.folder import files_of, labelled
from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, first_folder
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Changes

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""File name endings that are taken for images."""


def read_imagenet(root: Path, split: int) -> DatasetSplit:
    """Read `train/<class>/<image>` and `val/<class>/<image>`; the classes are the training folders'.

    Raises:
        InputError: A part is missing or empty, holds a class that is not trained on, or the split is not 1.
    """
    if split != 1:
        raise InputError(f"ImageNet has no split {split}: it has only split 1.")
    train = files_of(first_folder(root, ("train",), "*/*.*", "training images"), SUFFIXES)
    test = files_of(first_folder(root, ("val", "validation"), "*/*.*", "validation images"), SUFFIXES)
    classes = tuple(sorted({file.parent.name for file in train}))
    strange = sorted({file.parent.name for file in test} - set(classes))
    if strange:
        raise InputError(
            f"{root} has validation images of classes without training images, such as '{strange[0]}': "
            "validation images must lie in folders named as the training folders."
        )
    parts = [labelled(files, root, classes) for files in (train, test)]
    return DatasetSplit("imagenet", split, classes, parts[0], parts[1], tested_on="validate")


# 90 passes over 1.28 million images, learning rate divided by 10 every 30, as is usual for torchvision's
# networks: https://github.com/pytorch/vision/tree/main/references/classification
_RECIPE: Changes = {
    "training": {
        "steps": 450_000,
        "validate_every": 5_000,
        "batch_size": 256,
        "reference_batch": 256,
        "device_batch": 256,
        "learning_rate": 0.1,
        "stages": ((150_000, 0.1), (300_000, 0.01)),
        "weight_decay": 1e-4,
        "dropout": 0.2,
    },
}

register(Dataset("imagenet", read_imagenet, recipe=_RECIPE, teaches="imagenet", images=True, groups=False))
