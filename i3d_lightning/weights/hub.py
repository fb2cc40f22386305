"""Folders as Hugging Face's libraries save them: weights beside `config.json`, which names the classes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips

FILES = ("model.safetensors", "pytorch_model.bin")


def file_of(path: Path) -> Path:
    """Give the weights in a folder; a path that is none stays as it is.

    Raises:
        InputError: It has none, or they are divided among several files.
    """
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
        if (path / f"{name}.index.json").is_file():
            raise InputError(
                f"{path} has its weights in several files: save them as one, with "
                "save_pretrained(..., max_shard_size='100GB')."
            )
    raise InputError(f"{path} is a folder with neither {' nor '.join(FILES)}: give a file of weights.")


def labels_beside(path: Path) -> tuple[str, ...] | None:
    """Read the class names in `config.json` beside a file, in the order of the logits; None for none."""
    try:
        names = {int(index): str(name) for index, name in _config_beside(path)["id2label"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if sorted(names) != list(range(len(names))) or any(re.fullmatch(r"LABEL_\d+", n) for n in names.values()):
        return None  # the library's stand-ins
    return tuple(names[index] for index in range(len(names)))


def clips_beside(path: Path, usual: Clips) -> Clips | None:
    """Give the clips that `config.json` beside a file says the weights are for; None where it says nothing.

    Args:
        path: The file of weights.
        usual: The clips of their network.

    Raises:
        InputError: Their frames are of another size.
    """
    config = _config_beside(path)
    side, frames = (
        next((config[key] for key in keys if type(config.get(key)) is int), None)
        for keys in (("crop_size", "image_size"), ("frames_per_clip", "num_frames"))
    )
    if side not in (None, usual.crop):
        raise InputError(
            f"{path} is for frames of {side} px, as config.json beside it says, but its network takes "
            f"{usual.crop}: say --architecture with the name of one that takes {side}, or give other weights."
        )
    if frames in (None, usual.train_frames):
        return None
    return replace(usual, train_frames=frames, test_frames=max(frames, usual.test_frames))


def _config_beside(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.with_name("config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
