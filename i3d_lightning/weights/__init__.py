"""Trained parameters: published ones by name, any by path, and our own written to disk."""

from . import googlenet, pytorch_i3d, pytorchvideo, torchvision, transformers  # noqa: F401 - each registers itself
from .converters import CONVERTERS, Converter
from .create import create_model, list_models
from .load import Weights, apply_weights, load_weights, start_from_images
from .native import save_weights
from .registry import WEIGHTS, Entry, imagenet_labels, kinetics400_labels, list_weights

__all__ = [
    "CONVERTERS",
    "WEIGHTS",
    "Converter",
    "Entry",
    "Weights",
    "apply_weights",
    "create_model",
    "imagenet_labels",
    "kinetics400_labels",
    "list_models",
    "list_weights",
    "load_weights",
    "save_weights",
    "start_from_images",
]
