"""The folder that features are kept in: what they are, which are there, which are missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i3d_lightning import lease
from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.recipe import plain

ABOUT = "features.json"
LEFT_OUT = "left_out.json"
MISSING = "missing_files.txt"

NOT_COMPARED = ("software", "weights_from", "warnings")
"""Entries of features.json that do not change a feature."""

PARTS = ".parts"
"""Folder of the leases of those who fill the folder."""


class FeatureFolder:
    """A folder of features of one kind, which several processes may fill.

    Beside the features it holds `features.json`, which says what they are; `missing_files.txt`, which names
    the videos that have none, one id a line as OpenTAD reads it; and `left_out.json`, which says why, and of
    which videos only a part could be read.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def claim(self, about: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Write what the features are, before the first of them, or compare it with what is written.

        Args:
            about: All that they depend on, and what is not compared.
            files: Where features are to be.

        Raises:
            InputError: Features of another kind are there, or of one that nothing says.
        """
        path, ours = self.root / ABOUT, plain(about)
        with lease.held(self.root, f"{self.root}"):
            if not path.exists():
                if stray := next((file for file in files if file.exists()), None):
                    raise InputError(
                        f"{stray} is there, but no {ABOUT} that says what it was made with: choose another "
                        "folder."
                    )
                _write_json(path, ours)
        theirs = _read_json(path)
        different = [
            f"{key} {theirs.get(key)!r} instead of {ours.get(key)!r}"
            for key in {**ours, **theirs}
            if key not in NOT_COMPARED and theirs.get(key) != ours.get(key)
        ]
        if different:
            raise InputError(
                f"{self.root} holds other features, with {', '.join(different)}: choose another folder."
            )

    def update(
        self,
        missing: Mapping[str, str | None] | None = None,
        partly: Mapping[str, str | None] | None = None,
    ) -> None:
        """Note why videos have no features and of which only a part was read, by id; None takes one off.

        Several processes may: each changes only what it has seen itself.
        """
        path = self.root / LEFT_OUT
        with lease.held(self.root, f"{self.root}"):
            before = _read_json(path) if path.exists() else {}
            after = {
                "missing": _changed(before.get("missing", {}), missing or {}),
                "partly_read": _changed(before.get("partly_read", {}), partly or {}),
            }
            if after != before:
                _write_json(path, after)
            names = "".join(f"{name}\n" for name in after["missing"])
            list_ = self.root / MISSING
            if not list_.exists() or list_.read_text(encoding="utf-8") != names:
                write_atomically(list_, lambda file: file.write(names.encode()))

    def left_out(self) -> tuple[dict[str, str], dict[str, str]]:
        """Say why videos have no features, and of which only a part was read, by id."""
        path = self.root / LEFT_OUT
        found = _read_json(path) if path.exists() else {}
        return found.get("missing", {}), found.get("partly_read", {})


def _changed(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    after = {**before, **changes}
    return {name: after[name] for name in sorted(after) if after[name] is not None}  # type: ignore[misc]


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): restore it, or choose another folder.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} was not written here: choose another folder.")
    return found


def write_features(path: Path, values: np.ndarray) -> None:
    """Write features `t c` as a .npy file, whole or not at all.

    Raises:
        InputError: The place cannot be written to, or is full.
    """
    write_atomically(path, lambda file: np.save(file, values, allow_pickle=False))


def is_whole(path: Path, shape: tuple[int, int]) -> bool:
    """Say whether a file holds float32 of a shape, to its last byte."""
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return False
            found, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            size = file.tell() + 4 * shape[0] * shape[1]
        return (found, fortran, dtype) == (shape, False, np.float32) and path.stat().st_size == size
    except (OSError, ValueError):
        return False
