"""What every network here offers, whatever it sees: features over time, and a linear last layer on them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS = {"rgb": 3, "flow": 2}
"""Channels of a clip: red, green, blue; or horizontal and vertical displacement."""

CLASSIFIER = "classifier."
"""What the names of a network's last layer begin with."""

IMAGES_AT_ONCE = 64


class VideoNetwork(nn.Module):
    """A network whose last layer is linear, and the same at every time step.

    A subclass sets `feature_size`, calls `reset_classifier` once it is built, and gives
    `forward_features`.

    Args:
        dropout: Probability to drop a feature before the classifier.
    """

    feature_size: int
    classifier: nn.Linear
    supervised_at_every_step = False
    """Whether each time step's logits have a loss of their own, instead of the pooled ones."""
    depths: tuple[tuple[str, ...], ...] = ()
    """Layers from the input to the last one, which has the classifier: of each, what the names of its
    parameters begin with, so that every parameter is in one. `training.layer_decay` needs them; none are said
    where it makes no sense, or nobody has tried."""
    undecayed: tuple[str, ...] = ()
    """What the names of embeddings and tokens begin or end with, which `training.norm_decay` spares too."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def reset_classifier(self, classes: int) -> None:
        """Replace the classifier by a new, randomly initialised one for another number of classes."""
        like = next(self.parameters())
        self.classifier = nn.Linear(self.feature_size, classes, device=like.device, dtype=like.dtype)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def pool_time(self, x: Float[Tensor, "b n s"]) -> Float[Tensor, "b n"]:
        """Pool logits or features over time: their mean."""
        return x.mean(dim=2)

    def forward_features(self, *clips: Tensor) -> Float[Tensor, "b f s"]:
        """The classifier's input at each time step.

        Args:
            *clips: `b c t h w` in [-1, 1]; a joint network takes two, RGB and flow.
        """
        raise NotImplementedError

    def forward_grid(self, *clips: Tensor) -> Float[Tensor, "b f t h w"]:
        """What the features are averages of, at every place in time and space, see `grid_shares`.

        Since the last layer is linear, it has logits at each place, whose mean with these shares is the
        network's: its class activation maps.

        Args:
            *clips: As `forward_features` takes them.

        Raises:
            NotImplementedError: The network's features are no such averages.
        """
        raise NotImplementedError

    def grid_shares(self, t: int, h: int, w: int) -> Float[Tensor, "t h w"]:
        """The share of each place of `forward_grid` in features pooled over time: by default all equal."""
        return torch.full((t, h, w), 1 / (t * h * w))

    def forward_head(self, features: Float[Tensor, "b f s"]) -> Float[Tensor, "b k s"]:
        """Logits per time step from features, kept out of autocast: bf16 has only eighths above 16."""
        with without_autocast(features):
            dropped = self.dropout(features.to(self.classifier.weight.dtype))
            return self.classifier(dropped.transpose(1, 2)).transpose(1, 2)

    def forward(self, *clips: Tensor) -> Float[Tensor, "b k s"]:
        """Logits per time step."""
        return self.forward_head(self.forward_features(*clips))


def without_autocast(x: Tensor) -> torch.autocast:
    """Compute in the precision of tensors such as this; without numbers there is nothing to be rounded."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)


def each_frame(network: nn.Module, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t i j"]:
    """A 2-D network's activation on every frame of every clip, as a clip again.

    Without gradients and batch statistics, a few frames are seen at once, for the memory's sake.
    """
    images = clip.transpose(1, 2).flatten(0, 1)
    at_once = len(images) if network.training or torch.is_grad_enabled() else IMAGES_AT_ONCE
    grids = torch.cat([network(some) for some in images.split(at_once)])
    return grids.unflatten(0, (len(clip), -1)).transpose(1, 2)


def stacks(flow: Float[Tensor, "b 2 t h w"], fields: int) -> Float[Tensor, "b c s h w"]:
    """Neighbouring flow fields as the channels of one image each: x and y of the first, of the second, ...

    Raises:
        ValueError: The clip is shorter than one stack, or is no whole number of them.
    """
    count, rest = divmod(flow.shape[2], fields)
    if rest or not count:
        raise ValueError(f"expected flow of a multiple of {fields} fields, got {flow.shape[2]}")
    return flow.unflatten(2, (count, fields)).permute(0, 3, 1, 2, 4, 5).flatten(1, 2)
