"""ImageNet (Russakovsky et al., 2015, https://arxiv.org/abs/1409.0575), or any folder of its form."""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.datasets.folder import files_of, labelled
from i3d_lightning.datasets.videos import DatasetSplit, first_folder
from i3d_lightning.plan import InputError

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""File name endings that are taken for images."""


def read_imagenet(root: Path, split: int) -> DatasetSplit:
    """Reads `train/<class>/<image>` and `val/<class>/<image>`; the classes are the training folders'.

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
