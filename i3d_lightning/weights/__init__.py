"""Trained parameters: published ones by name, any by path, and our own written to disk."""

from .load import Weights, apply_weights, bootstrap, load_weights
from .native import save_weights
from .registry import Entry, imagenet_labels, kinetics400_labels, list_weights

__all__ = [
    "Entry",
    "Weights",
    "apply_weights",
    "bootstrap",
    "imagenet_labels",
    "kinetics400_labels",
    "list_weights",
    "load_weights",
    "save_weights",
]
