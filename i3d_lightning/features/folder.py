"""The folder that features are kept in: what they are, which are there, which are missing."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i3d_lightning import lease
from i3d_lightning.errors import InputError, cannot_write
from i3d_lightning.features.records import Record, cannot_read, located, read_record, write_record
from i3d_lightning.files import write_atomically
from i3d_lightning.recipe import plain
from i3d_lightning.video.file import VideoFile

log = logging.getLogger(__name__)

ABOUT = "features.json"
LEFT_OUT = "left_out.json"
MISSING = "missing_files.txt"

NOT_COMPARED = ("software", "weights_from", "warnings")
"""Entries of features.json that do not change a feature."""

PARTS = ".parts"
"""Folder of the leases of those who fill the folder."""

RECORDS = ".videos"
"""Folder that says, for each id, which content its features are of."""


class FeatureFolder:
    """A folder of features of one kind, which several processes may fill.

    Beside the features it holds `features.json`, which says what they are; `missing_files.txt`, which names
    the videos that have none, one id a line as OpenTAD reads it; `left_out.json`, which says why, and of
    which videos only a part could be read; and a record of each video, see `records`.

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
                _write(path, _as_json(ours).encode())
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
        with lease.held(self.root, f"{self.root}"):
            before = self.left_out()
            after = _changed(before[0], missing or {}), _changed(before[1], partly or {})
            _keep(self.root / LEFT_OUT, _as_json({"missing": after[0], "partly_read": after[1]}))
            _keep(self.root / MISSING, "".join(f"{name}\n" for name in after[0]))

    def left_out(self) -> tuple[dict[str, str], dict[str, str]]:
        """Say why videos have no features, and of which only a part was read, by id.

        Where that cannot be told any more nothing is said, but for a warning: whoever meets a video again
        notes it again.

        Raises:
            InputError: It is there, but cannot be read.
        """
        path = self.root / LEFT_OUT
        if not path.exists():
            return {}, {}
        raw = _read(path)
        try:
            found = json.loads(raw)
            missing, partly = (dict(found[name].items()) for name in ("missing", "partly_read"))
            if all(isinstance(why, str) for why in (*missing.values(), *partly.values())):
                return missing, partly
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        log.warning(
            "%s is damaged and begun anew: what it said of videos of other parts or sources comes back once "
            "these are given again.",
            path,
        )
        return {}, {}

    def record(self, video: str) -> Record | None:
        """What is known of the features of a video, by its id; None where nothing is.

        Raises:
            InputError: It cannot be read.
        """
        return read_record(self.record_of(video))

    def keep(self, video: str, record: Record) -> None:
        """Note what is known of the features of a video, by its id.

        Raises:
            InputError: The place cannot be written to, or is full.
        """
        write_record(self.record_of(video), record)

    def write(
        self, video: str, file: VideoFile, values: Mapping[Path, np.ndarray], partly: str | None
    ) -> None:
        """Write features `t c` as .npy files, each whole or not at all.

        What they are of is written first, so that nothing is ever there of which nobody knows that.

        Args:
            video: The id.
            file: The video as it was read, with its sha256.
            values: What belongs into each file.
            partly: How much of it could be read, where that was not all.

        Raises:
            InputError: The place cannot be written to, or is full.
        """
        raws = {path: _npy(array) for path, array in values.items()}
        sums = {path.relative_to(self.root).as_posix(): hashlib.sha256(raw) for path, raw in raws.items()}
        features = {name: found.hexdigest() for name, found in sums.items()}
        self.keep(video, Record(located(file), features, partly))
        for path, raw in raws.items():
            _write(path, raw)

    def discard(self, video: str, files: Iterable[Path]) -> None:
        """Take away the features of a video, and what is known of them.

        Raises:
            InputError: They cannot be deleted.
        """
        for path in (*files, self.record_of(video)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error

    def record_of(self, video: str) -> Path:
        """Where the record of a video is."""
        return self.root / RECORDS / f"{video}.json"


def _changed(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    after = {**before, **changes}
    return {name: after[name] for name in sorted(after) if after[name] is not None}  # type: ignore[misc]


def _keep(path: Path, text: str) -> None:
    """Write a text where another is there, or none."""
    raw = text.encode()
    if not path.exists() or _read(path) != raw:
        _write(path, raw)


def _write(path: Path, raw: bytes) -> None:
    write_atomically(path, lambda file: file.write(raw))


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    raw = _read(path)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): restore it, or choose another folder.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} was not written here: choose another folder.")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()
