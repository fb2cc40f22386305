"""The public PyTorch I3D, the baseline: https://github.com/piergiaj/pytorch-i3d, fetched, never copied."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

URL = "https://raw.githubusercontent.com/piergiaj/pytorch-i3d/master/pytorch_i3d.py"
SHA256 = "251d1a62c0f14681e8fbeba1b88ea389119d1c829cd8c4db68601cdb3434d187"


def public_i3d(classes: int, side: int) -> nn.Module:
    """The network for RGB clips of a side in pixels; below 224 px its average pool shrinks with the grid."""
    network = _module().InceptionI3d(classes, in_channels=3)
    network.avg_pool = nn.AvgPool3d((2, -(-side // 32), -(-side // 32)), stride=1)
    return network


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pytorch_i3d", _file())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _file() -> Path:
    """From the folder in I3D_ASSETS, else fetched once into the cache."""
    here = Path(os.environ.get("I3D_ASSETS", "")) / "reference" / "pytorch_i3d.py"
    if here.is_file():
        return here
    cached = Path(os.environ.get("I3D_CACHE", Path.home() / ".cache/i3d-lightning")) / "pytorch_i3d.py"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL, str(cached), hash_prefix=SHA256, progress=False)
        except (OSError, RuntimeError) as error:
            raise SystemExit(
                f"The baseline {URL} cannot be fetched ({error}): check the network, or put it at {cached}."
            ) from None
    return cached
