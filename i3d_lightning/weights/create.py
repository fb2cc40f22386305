"""Networks by name, with trained weights where they are wanted."""

from __future__ import annotations

from i3d_lightning.errors import InputError, check_known
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Training
from i3d_lightning.weights.load import apply_weights, load_weights, start_from_images


def list_models(pattern: str = "*") -> list[str]:
    """List the registered networks whose name matches a shell pattern, such as `*3d*`."""
    return ARCHITECTURES.names(pattern)


def create_model(
    architecture: str, classes: int | None = None, stream: str = "rgb", pretrained: str | None = None
) -> VideoNetwork:
    """Make a network.

    Args:
        architecture: A name that `list_models` lists.
        classes: Number of classes; by default that of the weights. With another than theirs the last
            layer is new.
        stream: What it sees: `rgb`, `flow` or `joint`.
        pretrained: Weights to start from, a name that `list_weights` lists or the path of a file; those of
            an image network start every architecture that inflates them. None starts from scratch.

    Returns:
        The network, in training mode. It takes normalised clips `b c t h w` and gives logits `b k s` per time
        step, which its `pool_time` pools to `b k`.

    Raises:
        InputError: There is no such network or weights, or they do not fit each other.
    """
    known = ARCHITECTURES[architecture]
    check_known("stream", stream, known.streams)
    weights = None if pretrained is None else load_weights(pretrained, architecture=architecture)
    same = weights is not None and weights.architecture == architecture
    wanted = weights.classes if weights and same and classes is None else classes
    if not wanted or wanted < 1:
        raise InputError(f"Say how many classes {architecture} is to tell apart: classes=101, say.")
    clips = weights.clips if weights and same and weights.clips else known.clips
    network = known.build(wanted, stream, clips, Training())
    if weights and same:
        apply_weights(network, weights, classifier=wanted == weights.classes)
    elif weights and ARCHITECTURES[weights.architecture].images:
        start_from_images(network, weights, known, Training().first_layer)
    elif weights:
        raise InputError(f"{pretrained} has weights of {weights.architecture}, not of {architecture}.")
    return network
