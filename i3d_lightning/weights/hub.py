"""Folders as Hugging Face's libraries save them: weights beside `config.json`, which names the classes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from i3d_lightning.errors import InputError

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
        config = json.loads(path.with_name("config.json").read_text(encoding="utf-8"))
        names = {int(index): str(name) for index, name in config["id2label"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if sorted(names) != list(range(len(names))) or any(re.fullmatch(r"LABEL_\d+", n) for n in names.values()):
        return None  # the library's stand-ins
    return tuple(names[index] for index in range(len(names)))
