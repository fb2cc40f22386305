"""Files that `torch.save` wrote: state dicts of the public PyTorch I3D and of torchvision's GoogLeNet."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i3d_lightning.plan import InputError
from i3d_lightning.weights import googlenet, pytorch_i3d

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch's magic number: before torch 1.6


def recognises(head: bytes) -> bool:
    """Whether a file that begins so was written by `torch.save`."""
    return head.startswith((ZIP, LEGACY))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors in our names, and what is known of them.

    Raises:
        InputError: The file is damaged, holds anything but tensors, or is of an unknown network.
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
    content = {name.removeprefix("module."): tensor for name, tensor in content.items()}  # DataParallel
    if googlenet.STEM in content:
        state, described = googlenet.convert(content), googlenet.DESCRIBED
    else:
        state, described = pytorch_i3d.convert(content, str(path)), {"architecture": "i3d"}
    for name in list(state):
        if name.endswith("bn.running_mean"):  # files from before torch 0.4.1 have no such counters
            counter = name.replace("running_mean", "num_batches_tracked")
            state.setdefault(counter, torch.tensor(0))
    return state, dict(described)
