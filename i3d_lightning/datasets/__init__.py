"""Data sets: which videos, which label, which split; clips and batches of them."""

from . import demo, hmdb51, imagenet, kinetics, ssv2, ucf10, ucf101  # noqa: F401 - each registers itself
from .registry import DATASETS, Dataset, read_dataset, root_of, teacher

__all__ = ["DATASETS", "Dataset", "read_dataset", "root_of", "teacher"]
