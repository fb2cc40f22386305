"""Safetensors: the project's own, which say in their metadata what they are, and others, which do not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import STREAMS
from i3d_lightning.files import write_atomically
from i3d_lightning.recipe import Clips, Flow, Recipe, compose, is_text, plain

KEY = "i3d-lightning"

LONGEST = 4 << 20
"""Bytes that the description may have; the names of ImageNet's 21,841 classes take half a million."""


def recognises(head: bytes) -> bool:
    """Tell whether a file that begins so is safetensors: the length of a JSON header, then the header."""
    return head[8:9] == b"{"


def save_weights(
    path: Path,
    network: nn.Module,
    *,
    architecture: str,
    stream: str,
    pretraining: str | None,
    labels: Sequence[str] | None,
    clips: Clips | None,
    flow: Flow | None = None,
    provenance: str = "",
) -> None:
    """Write a network's parameters and buffers, and what they are; whole or not at all.

    Args:
        path: Where to.
        network: The network.
        architecture: Name of the network in its registry.
        stream: What the network sees.
        pretraining: What these weights have seen, None if that has no word.
        labels: Class names in the order of the logits.
        clips: How videos become its input.
        flow: How its optical flow is computed, None for RGB; where the fields were kept is left out.
        provenance: Where the weights come from, in words.

    Raises:
        InputError: The place cannot be written to, or is full.
    """
    described = {
        "architecture": architecture,
        "stream": stream,
        "pretraining": pretraining,
        "labels": plain(labels),
        "clips": plain(clips),
        "flow": flow and {name: value for name, value in plain(flow).items() if name != "source"},
        "provenance": provenance,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    content = safetensors.torch.save(state, {KEY: json.dumps(described)})
    write_atomically(path, lambda file: file.write(content))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Read the tensors, and what the file says of them, None where it was not written here.

    Raises:
        InputError: The file is damaged, or says of its weights what cannot be.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged or truncated: download or copy it again.") from error
    if metadata is None:
        return state, None
    if len(metadata) > LONGEST:
        raise InputError(f"{path} describes its weights in {len(metadata)} bytes, but {LONGEST} are read.")
    try:
        return state, _described(json.loads(metadata))
    except InputError as error:
        raise InputError(f"{path} says of its weights what cannot be: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} does not say what weights it holds: it was not written here.") from error


def _described(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Check every part of a description, as what it is."""
    stream, labels = metadata["stream"], metadata["labels"]
    words = [metadata[name] for name in ("architecture", "provenance")]
    words += [w for w in (stream, metadata["pretraining"]) if w is not None]
    if not all(isinstance(word, str) for word in (*words, *(labels or ()))):
        raise TypeError
    if stream is not None and stream not in STREAMS:
        raise InputError(f"Its stream is '{stream}', but must be one of {', '.join(STREAMS)}.")
    counts = Counter(labels or ())
    for label in counts:
        if counts[label] > 1:
            raise InputError(f"It names the class '{label[:100]}' twice.")
        if len(label) > 200 or not is_text(label):
            raise InputError(f"It names a class in {len(label)} letters, too many or not printable.")
    given = {name: metadata[name] or {} for name in ("clips", "flow")}
    recipe = compose(Recipe(), given)
    return {
        "architecture": metadata["architecture"],
        "stream": stream,
        "pretraining": metadata["pretraining"],
        "labels": None if labels is None else tuple(labels),
        "clips": None if metadata["clips"] is None else recipe.clips,
        "flow": None if metadata["flow"] is None else recipe.flow,
        "provenance": metadata["provenance"],
    }
