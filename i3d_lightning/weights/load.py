"""Weights from a name or a path, and into a network, with nothing skipped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from i3d_lightning import plan
from i3d_lightning.files import file_sha256
from i3d_lightning.networks.inception import Inception
from i3d_lightning.networks.inflation import FirstLayer, inflate
from i3d_lightning.plan import InputError
from i3d_lightning.weights import i3d_jax, native, pytorch
from i3d_lightning.weights.fetch import fetch
from i3d_lightning.weights.registry import ENTRIES, Entry, imagenet_labels, kinetics400_labels

FORMATS = (native, pytorch, i3d_jax)

CLASSIFIER = "classifier."
"""What the names of a network's last layer begin with."""

STREAMS: dict[int, plan.Stream] = {3: "rgb", 2: "flow"}


@dataclass(frozen=True, eq=False)
class Weights:
    """Trained parameters and what is known of them; None is unknown.

    Attributes:
        state: Parameters and buffers in our names.
        sha256: Of the file.
        source: Name or path that they were asked for by.
        architecture: Row of the paper's Table 1.
        stream: What the network sees.
        pretraining: What the weights have seen.
        labels: Class names in the order of the logits.
        clips: How videos become the network's input.
        flow: How optical flow is computed.
        provenance: Where they come from, in words.
    """

    state: Mapping[str, Tensor]
    sha256: str
    source: str
    architecture: plan.Architecture
    stream: plan.Stream | None = None
    pretraining: plan.Pretraining | None = None
    labels: tuple[str, ...] | None = None
    clips: plan.Clips | None = None
    flow: plan.Flow | None = None
    provenance: str | None = None


def load_weights(name_or_path: str) -> Weights:
    """Published weights by name, or any by path, in whichever known format they are.

    A file with the sha256 of published weights is known to be them.

    Raises:
        InputError: There is no such name or file, or it holds no weights that can be read.
    """
    entry = next((e for e in ENTRIES if e.name == name_or_path), None)
    path = fetch(entry) if entry else Path(name_or_path)
    try:
        sha256 = file_sha256(path)
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError as error:
        if path.suffix or len(path.parts) > 1:
            raise InputError(f"There is no weights file {path}: check the path.") from error
        raise plan.unknown("weights", name_or_path, [e.name for e in ENTRIES]) from error
    except OSError as error:
        raise InputError(f"Cannot read weights from {path}: {error.strerror}.") from error
    found = next((f for f in FORMATS if f.recognises(head)), None)
    if found is None:
        raise InputError(f"{path} holds no weights: it is neither safetensors nor PyTorch's nor a pickle.")
    state, described = found.read(path)
    described = {"stream": _stream(state)} | described
    described |= next((_published(e) for e in ENTRIES if e.is_of(sha256)), {})
    return Weights(state, sha256, name_or_path, **described)


def apply_weights(network: nn.Module, weights: Weights, *, classifier: bool) -> None:
    """Set a network's parameters and buffers, all of them.

    Args:
        network: The network.
        weights: The weights.
        classifier: Whether the last layer is set too. Without it, it stays as it is and may have
            another number of classes.

    Raises:
        InputError: They do not fit; each tensor that is missing, unexpected or of another shape is named.
    """
    ours, theirs = network.state_dict(), dict(weights.state)
    if not classifier:
        theirs = {name: t for name, t in theirs.items() if not name.startswith(CLASSIFIER)}
        theirs |= {name: t for name, t in ours.items() if name.startswith(CLASSIFIER)}
    if weights.stream in ("rgb", "flow") and _stream(ours) not in (None, weights.stream):
        raise InputError(
            f"{weights.source}: these are {weights.stream} weights, the network is {_stream(ours)}: "
            "give weights of the same stream."
        )
    misfits = [f"{name} is missing" for name in ours if name not in theirs]
    misfits += [f"{name} is unexpected" for name in theirs if name not in ours]
    misfits += [
        f"{name} has shape {tuple(theirs[name].shape)}, expected {tuple(ours[name].shape)}"
        for name in ours
        if name in theirs and theirs[name].shape != ours[name].shape
    ]
    if misfits:
        raise InputError(f"{weights.source} does not fit the network: {', '.join(misfits)}.")
    network.load_state_dict(theirs)


def bootstrap(network: nn.Module, weights: Weights, first_layer: FirstLayer) -> None:
    """Start every Inception-v1 in a network from the weights of the image network, inflated where it is 3-D.

    Args:
        network: The network; what it has beside Inception-v1 stays as it is.
        weights: Those of a `convnet`.
        first_layer: How layers that take flow are adapted, see `networks.inflation`.

    Raises:
        InputError: They are no 2-D Inception-v1's.
    """
    prefix = "inception."
    images = {n.removeprefix(prefix): t for n, t in weights.state.items() if n.startswith(prefix)}
    for part in network.modules():
        if isinstance(part, Inception):
            try:
                part.load_state_dict(inflate(images, part.state_dict(), first_layer))
            except ValueError as error:
                raise InputError(f"{weights.source} cannot be inflated: {error}.") from error


def _stream(state: Mapping[str, Tensor]) -> plan.Stream | None:
    """What the first convolution takes."""
    stem = next((tensor for tensor in state.values() if tensor.ndim > 2), None)
    return None if stem is None else STREAMS.get(stem.shape[1])


def _published(entry: Entry) -> dict[str, object]:
    return {
        "architecture": entry.architecture,
        "stream": entry.stream,
        "pretraining": entry.pretraining,
        "labels": imagenet_labels() if entry.pretraining == "imagenet" else kinetics400_labels(),
        "clips": entry.clips,
        "flow": entry.flow,
        "provenance": f"{entry.source}, {entry.licence}, {entry.citation}",
    }
