"""The project's own weights: safetensors that say in their metadata what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from i3d_lightning import plan
from i3d_lightning.files import write_atomically
from i3d_lightning.plan import InputError

KEY = "i3d-lightning"


def recognises(head: bytes) -> bool:
    """Whether a file that begins so is safetensors: the length of a JSON header, then the header."""
    return head[8:9] == b"{"


def save_weights(
    path: Path,
    network: nn.Module,
    *,
    architecture: plan.Architecture,
    stream: plan.Stream,
    pretraining: plan.Pretraining | None,
    labels: Sequence[str] | None,
    clips: plan.Clips | None,
    flow: plan.Flow | None = None,
    provenance: str = "",
) -> None:
    """Write a network's parameters and buffers, and what they are; whole or not at all.

    Args:
        path: Where to.
        network: The network.
        architecture: Row of the paper's Table 1.
        stream: What the network sees.
        pretraining: What these weights have seen, None if that has no word.
        labels: Class names in the order of the logits.
        clips: How videos become its input.
        flow: How its optical flow is computed, None for RGB.
        provenance: Where the weights come from, in words.

    Raises:
        InputError: The place cannot be written to, or is full.
    """
    described = {
        "architecture": architecture,
        "stream": stream,
        "pretraining": pretraining,
        "labels": plan.plain(labels),
        "clips": plan.plain(clips),
        "flow": plan.plain(flow),
        "provenance": provenance,
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    content = safetensors.torch.save(state, {KEY: json.dumps(described)})
    write_atomically(path, lambda file: file.write(content))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, and what the file says of them.

    Raises:
        InputError: The file is damaged, or is not the project's own.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged or truncated: download or copy it again.") from error
    try:
        described = _described(json.loads(metadata[KEY]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not say what weights it holds: it was not written here.") from error
    return state, described


def _described(metadata: Mapping[str, Any]) -> dict[str, Any]:
    clips, flow, labels = metadata["clips"], metadata["flow"], metadata["labels"]
    return {
        "architecture": metadata["architecture"],
        "stream": metadata["stream"],
        "pretraining": metadata["pretraining"],
        "labels": None if labels is None else tuple(labels),
        "clips": None if clips is None else plan.Clips(**clips),
        "flow": None if flow is None else plan.Flow(**flow),
        "provenance": metadata["provenance"],
    }
