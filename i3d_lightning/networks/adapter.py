"""Networks of other libraries as ours: their last layer taken out, and long videos seen as windows.

A file of this room adapts one library: for each of its networks how it is built, which layer is its last, and
the clips that it takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i3d_lightning.errors import InputError
from i3d_lightning.networks.layers import PaddingConv3d
from i3d_lightning.networks.network import CLASSIFIER, VideoNetwork

WINDOWS_AT_ONCE = 8
"""Windows that are seen together where no gradient is wanted."""

BODY = "body."
"""What the names of a network's parameters begin with, but for the last layer's: its library's follow."""


class AdaptedNetwork(VideoNetwork):
    """A network of another library, which sees clips of one length, with a new last layer.

    A longer clip is seen as windows one after another, each a time step, the last one ending with the clip;
    logits and features are their mean.

    Args:
        body: Takes normalised clips `b c t h w` and gives logits `b k`.
        last: Dotted name of its last layer: linear, or a convolution of one position, before any averages.
            Empty for a body without one, which gives features.
        frames: Length of a window.
        classes: Number of classes.
        dropout: Probability to drop a feature before the classifier.
        dropouts: Dotted names of layers of its own that do this, and are taken out.
        width: Number of features, of a body without a last layer.
    """

    def __init__(
        self,
        body: nn.Module,
        last: str,
        frames: int,
        classes: int,
        dropout: float,
        dropouts: tuple[str, ...] = (),
        width: int = 0,
    ) -> None:
        super().__init__(dropout)
        if last:
            width = int(body.get_submodule(last).weight.shape[1])  # type: ignore[union-attr,index]
        self.feature_size = width
        for name in filter(None, (last, *dropouts)):
            body.set_submodule(name, nn.Identity())
        for name, module in list(body.named_modules()):
            if isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1:
                body.set_submodule(name, PaddingConv3d.of(module))
        self.body, self.frames = body, frames
        self.reset_classifier(classes)

    def forward_features(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s"]:
        """Features of each window."""
        (clip,) = clips
        cut = windows(clip, self.frames).flatten(0, 1)
        at_once = len(cut) if self.training or torch.is_grad_enabled() else WINDOWS_AT_ONCE
        features = torch.cat([self.see(some) for some in cut.split(at_once)])
        return features.float().unflatten(0, (len(clip), -1)).transpose(1, 2)

    def see(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Features of clips of one window's length."""
        return self.body(clip)


def windows(clip: Float[Tensor, "b c t h w"], frames: int) -> Float[Tensor, "b s c n h w"]:
    """Cut clips into windows of `frames` frames, the last of which ends with the clip.

    Raises:
        ValueError: The clip is shorter than a window.
    """
    length = clip.shape[2]
    if length < frames:
        raise ValueError(f"expected a clip of {frames} frames or more, got {length}")
    starts = [min(start, length - frames) for start in range(0, length, frames)]
    return torch.stack([clip[:, :, start : start + frames] for start in starts], dim=1)


def set_batchnorm_momentum(body: nn.Module, momentum: float) -> None:
    """Set the share of each new batch in the running statistics, see `recipe.Training`."""
    for module in body.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum


def adapted_state(state: Mapping[str, Tensor], last: str) -> dict[str, Tensor]:
    """Rename a publisher's state dict to ours; its last layer, of whichever kind, becomes linear."""
    renamed = {}
    for name, tensor in state.items():
        if name.startswith(f"{last}."):
            rest = name.removeprefix(f"{last}.")
            renamed[CLASSIFIER + rest] = tensor.flatten(1) if tensor.ndim > 1 else tensor
        else:
            renamed[BODY + name] = tensor
    return renamed


def library(name: str, extra: str = "", least: str = "") -> None:
    """Make sure that a library is there before a network of it is built.

    Args:
        name: Of the package.
        extra: The extra of this package that installs it; empty where it comes along.
        least: The first version that is right.

    Raises:
        InputError: It is not installed, or too old.
    """
    remedy = f"install it with: pip install 'i3d-lightning[{extra}]'" if extra else f"pip install {name}"
    try:
        found = version(name)
        importlib.import_module(name)
    except (PackageNotFoundError, ImportError) as error:
        raise InputError(f"This network is one of {name}, which is not installed: {remedy}.") from error
    if least and _numbers(found) < _numbers(least):
        raise InputError(f"{name} {found} is too old for this network, which needs {least}: {remedy}.")


def _numbers(text: str) -> list[int]:
    parts = text.split("+")[0].split(".")
    return [int(part) for part in parts[:3] if part.isdigit()]
