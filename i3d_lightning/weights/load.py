"""Weights from a name or a path, and into a network, with nothing skipped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from i3d_lightning.errors import InputError, unknown
from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks.network import CLASSIFIER, VideoNetwork
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.weights import converters, hub, i3d_jax, native, pytorch
from i3d_lightning.weights.fetch import fetch, identity, sha256_of
from i3d_lightning.weights.registry import WEIGHTS, Entry

FORMATS = (native, pytorch, i3d_jax)

BY_CHANNELS = {3: "rgb", 2: "flow"}


@dataclass(frozen=True, eq=False)
class Weights:
    """Trained parameters and what is known of them; None is unknown.

    Attributes:
        state: Parameters and buffers in our names.
        sha256: Of the file.
        source: Name or path that they were asked for by.
        architecture: Name of the network that they are of.
        stream: What the network sees.
        pretraining: What the weights have seen, stage by stage.
        labels: Class names in the order of the logits.
        clips: How videos become the network's input; its `PREPROCESSING` belongs to the weights.
        flow: How optical flow is computed.
        provenance: Where they come from, in words.
    """

    state: Mapping[str, Tensor]
    sha256: str
    source: str
    architecture: str
    stream: str | None = None
    pretraining: str | None = None
    labels: tuple[str, ...] | None = None
    clips: Clips | None = None
    flow: Flow | None = None
    provenance: str | None = None

    @property
    def classes(self) -> int | None:
        """Number of classes, None without a last layer."""
        bias = self.state.get(f"{CLASSIFIER}bias")
        return None if bias is None else len(bias)


def load_weights(name_or_path: str, sha256: str | None = None, architecture: str | None = None) -> Weights:
    """Load published weights by name, or any by path, in whichever known format they are.

    A file with the sha256 of published weights is known to be them. The last few files stay in memory,
    so that asking again for one that has not changed reads nothing; treat the tensors as read-only.

    Args:
        name_or_path: A name that `list_weights` lists, or the path of a file or of a folder that holds one.
        sha256: What the file's must be; None takes any.
        architecture: The network that they are meant for: where several have the same tensors, they are taken
            to be of this one.

    Raises:
        InputError: There is no such name or file, it is another file than wanted, or it holds no weights
            that can be read.
    """
    entry = WEIGHTS.get(name_or_path)
    path = fetch(entry) if entry else hub.file_of(Path(name_or_path))
    if path.exists() and not path.is_file():
        raise InputError(f"Cannot read weights from {path}: it is a device or a pipe, not a file.")
    try:
        found = sha256_of(path)
        if sha256 is not None and found != sha256:
            raise InputError(
                f"{path} has changed (its sha256 is {found}, expected {sha256}): restore it, or run again "
                "what made it."
            )
        entry = entry or next((e for e in WEIGHTS if e.is_of(found)), None)
        state, described = _read(path, identity(path), entry.architecture if entry else None, architecture)
    except FileNotFoundError as error:
        if path.suffix or len(path.parts) > 1:
            raise InputError(f"There is no weights file {path}: check the path.") from error
        raise unknown("weights", name_or_path, WEIGHTS.names()) from error
    except OSError as error:
        raise InputError(f"Cannot read weights from {path}: {error.strerror}.") from error
    weights = Weights(state, found, name_or_path, **(described | (_published(entry) if entry else {})))
    if weights.labels is not None and weights.classes not in (None, len(weights.labels)):
        raise InputError(f"{path} names {len(weights.labels)} classes, but tells {weights.classes} apart.")
    return weights


def load_weights_of(name_or_path: str, architecture: str | None) -> Weights:
    """Load weights as `load_weights` does, of this network or, where none is said, of any.

    Raises:
        InputError: As `load_weights`; or they are of another network.
    """
    found = load_weights(name_or_path, architecture=architecture)
    if architecture not in (None, found.architecture):
        raise InputError(
            f"{name_or_path} has weights of {found.architecture}, not of {architecture}: give others, or "
            f"--architecture {found.architecture}."
        )
    return found


@lru_cache(maxsize=2)  # of up to hundreds of MB each
def _read(
    path: Path, identity: tuple[int, ...], architecture: str | None, meant_for: str | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a file in our names, and what is known of them, converted where that is needed."""
    with path.open("rb") as file:
        head = file.read(16)
    found = next((f for f in FORMATS if f.recognises(head)), None)
    if found is None and head.lstrip()[:1] in (b"<", b"{"):
        raise InputError(
            f"{path} is a text such as a web page, not weights: open it to see what the server answered, and "
            "download the file again."
        )
    if found is None:
        raise InputError(f"{path} holds no weights: it is neither safetensors nor PyTorch's nor a pickle.")
    state, described = found.read(path)
    if described is None:
        state, converter = converters.convert(state, str(path), architecture, meant_for)
        described = {"architecture": converter.architecture, "pretraining": converter.pretraining}
        described |= {"labels": _labels_beside(path, state)}
        known = ARCHITECTURES[converter.architecture]
        if known.windows:
            described |= {"clips": hub.clips_beside(path, known.clips)}
    _check_finite(state, path)
    return state, {"stream": _stream(state, described["architecture"]), **described}


def _labels_beside(path: Path, state: Mapping[str, Tensor]) -> tuple[str, ...] | None:
    """Give the class names in a file beside one, if they are as many as the classifier tells apart."""
    bias, labels = state.get(f"{CLASSIFIER}bias"), hub.labels_beside(path)
    return labels if bias is not None and labels is not None and len(labels) == len(bias) else None


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that no result can come from."""
    wrong = [n for n, t in state.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if wrong:
        more = f", and {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
        raise InputError(
            f"{path} holds numbers that are none (NaN or infinite) in {wrong[0]}{more}: use others."
        )


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


def start_from_images(
    network: VideoNetwork, weights: Weights, architecture: Architecture, first_layer: str
) -> None:
    """Start a network from the weights of an image network, as its architecture does that.

    Args:
        network: The network.
        weights: Those of an image network.
        architecture: What the network is.
        first_layer: How layers that take flow are adapted, see `networks.inflation`.

    Raises:
        InputError: The architecture has no counterpart among image networks, or they are not of that.
    """
    if architecture.from_images is None:
        raise InputError(f"{architecture.name} cannot start from images, as {weights.source} would have it.")
    try:
        architecture.from_images(network, weights.state, first_layer)
    except ValueError as error:
        raise InputError(f"{weights.source} cannot be inflated: {error}.") from error


def _stream(state: Mapping[str, Tensor], architecture: str = "") -> str | None:
    """Tell what the first convolution takes, or else all that the network can see."""
    stem = next((tensor for tensor in state.values() if tensor.ndim > 2), None)
    found = None if stem is None else BY_CHANNELS.get(stem.shape[1])
    known = ARCHITECTURES.get(architecture)
    return found or (known.streams[0] if known and len(known.streams) == 1 else None)


def _published(entry: Entry) -> dict[str, Any]:
    return {
        "architecture": entry.architecture,
        "stream": entry.stream,
        "pretraining": entry.pretraining,
        "labels": entry.class_names or None,
        "clips": entry.clips,
        "flow": entry.flow,
        "provenance": ", ".join(filter(None, (entry.source, entry.licence, entry.citation))),
    }
