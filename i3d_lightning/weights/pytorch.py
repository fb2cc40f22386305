"""Files that `torch.save` wrote."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning.errors import InputError

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch's magic number: before torch 1.6


def recognises(head: bytes) -> bool:
    """Tell whether a file that begins so was written by `torch.save`."""
    return head.startswith((ZIP, LEGACY))


def read(path: Path) -> tuple[dict[str, Tensor], None]:
    """Read the tensors of a state dict in their own names; the file says nothing of them.

    Raises:
        InputError: The file is damaged, or holds anything but tensors.
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
    return {str(name): tensor for name, tensor in content.items()}, None
