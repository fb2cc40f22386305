"""Features on disk: a few large files, in which no damage goes unnoticed.

A store is a folder of shards, which are safetensors files that never change: the features of many videos,
one row each, the contents that the rows are of, and a checksum for each row. A shard's metadata holds a
checksum of all that is not rows, and the digest of what its features were made with. So whatever is cut
off, flipped or foreign is noticed, and what cannot be trusted is as if it were not there.

New features go into small shards, a few hundred at a time, so that a process that is ended loses little;
`merge` makes large ones of them. Several processes may use one store: names are unique, a shard is only
removed after its features are in another, and a reader that misses one looks again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically
from i3d_lightning.recipe import digest

log = logging.getLogger(__name__)

FORMAT = "i3d-features 1"
"""Name and version of how a shard is laid out; shards of another are left alone and not used."""

IDENTITY = "identity.json"

_SMALL, _LARGE = 256, 16384
"""Features of a new shard, and of one that was merged, at most."""
_PATIENCE = 60.0
"""Seconds after which new features are written, however few."""


class Feature(NamedTuple):
    """What is known of one video.

    Attributes:
        values: Its features, float32 (f).
        partly: Of a video that was partly read: how much of it, such as "28 of 139 frames".
    """

    values: np.ndarray
    partly: str | None = None


class DamagedShardError(Exception):
    """A shard cannot be used, and why."""


@dataclass(frozen=True)
class _Shard:
    """What is known of a shard without its rows."""

    path: Path
    rows_at: int
    size: int
    contents: bytes
    checksums: bytes
    partly: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.contents) // 32

    def content(self, row: int) -> bytes:
        return self.contents[32 * row : 32 * row + 32]

    def read(self, rows: Iterable[int]) -> dict[int, Feature | None]:
        """Read rows; None is a damaged one.

        The file is read, not mapped into memory: where a shared folder lost it, that is an error and no
        signal that ends the process.
        """
        found: dict[int, Feature | None] = {}
        with self.path.open("rb") as file:
            for row in sorted(rows):
                file.seek(self.rows_at + 4 * self.size * row)
                raw, partly = file.read(4 * self.size), self.partly.get(row)
                whole = _checksum(self.content(row), raw, partly) == self.checksums[32 * row : 32 * row + 32]
                found[row] = Feature(np.frombuffer(raw, "<f4"), partly) if whole else None
        return found


class FeatureStore:
    """Features of one network and preprocessing, kept under the content of their videos.

    Args:
        root: Folder of all features.
        identity: All that a feature depends on but for the video, as plain data; it stands beside the
            features, for whoever wonders what the folder holds.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        self.identity, self.made_with = identity, digest(identity)
        self.folder = root / self.made_with[:16]
        self._shards: dict[str, _Shard] = {}
        self._unusable: set[str] = set()
        self._damaged: set[str] = set()
        self._index: dict[bytes, tuple[str, int]] = {}
        self._new: dict[bytes, Feature] = {}
        self._oldest = 0.0

    def get(self, content: str) -> Feature | None:
        """Read the features of one video content (its sha256), or None where they have to be computed."""
        return self.read([content]).get(content)

    def read(self, contents: Iterable[str]) -> dict[str, Feature]:
        """Read the features of video contents; left out is what was never computed or is damaged."""
        wanted = set(contents)
        self._look()
        found = self._read(wanted)
        if lost := [c for c in wanted - found.keys() if bytes.fromhex(c) in self._index]:
            self._look()  # another process may have merged their shard into another
            found |= self._read(lost)
        return found

    def _read(self, contents: Iterable[str]) -> dict[str, Feature]:
        found: dict[str, Feature] = {}
        rows: dict[str, dict[int, str]] = defaultdict(dict)
        for content in contents:
            key = bytes.fromhex(content)
            if key in self._new:
                found[content] = self._new[key]
            elif key in self._index:
                name, row = self._index[key]
                rows[name][row] = content
        for name, wanted in rows.items():
            try:
                read = self._shards[name].read(wanted)
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("%s cannot be read (%s): %s.", self.folder / name, error.strerror, _ANEW)
                self._forget(name, unusable=True)
                continue
            for row, feature in read.items():
                if feature is not None:
                    found[wanted[row]] = feature
                    continue
                log.warning(
                    "The stored features of the video with sha256 %s are damaged (in %s): %s.",
                    wanted[row], self.folder / name, _ANEW,
                )  # fmt: skip
                self._damaged.add(name)
                del self._index[bytes.fromhex(wanted[row])]
        return found

    def put(self, content: str, values: np.ndarray, partly: str | None = None) -> None:
        """Keep features; they are on disk after a few hundred, a minute, or `flush`.

        Raises:
            ValueError: They are not finite, or not float32 (f).
        """
        if values.dtype != np.float32 or values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"features of {content} are not finite, or not float32 (f)")
        if not self._new:
            self._oldest = time.monotonic()
        self._new[bytes.fromhex(content)] = Feature(values, partly)
        if len(self._new) >= _SMALL or time.monotonic() - self._oldest > _PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk."""
        if self._new:
            self._write(self._new)
            self._new = {}

    def merge(self) -> None:
        """Make few large shards of many small ones, and leave damaged rows behind."""
        self.flush()
        self._look()
        todo = [name for name, shard in self._shards.items() if len(shard) < _LARGE // 2]
        todo = sorted({*todo, *self._damaged} & self._shards.keys())
        if len(todo) < 2 and not self._damaged:
            return
        batch: list[str] = []
        for name in todo:
            if batch and sum(len(self._shards[n]) for n in (*batch, name)) > _LARGE:
                self._merge(batch)
                batch = []
            batch.append(name)
        self._merge(batch)

    def _merge(self, names: list[str]) -> None:
        rows: dict[bytes, Feature] = {}
        merged: list[str] = []
        for name in names:
            shard = self._shards[name]
            try:
                read = shard.read(range(len(shard)))
            except OSError:  # another process merged it, or it cannot be read now: left as it is
                continue
            rows |= {shard.content(row): feature for row, feature in read.items() if feature is not None}
            merged.append(name)
        if rows:
            self._write(rows)
        for name in merged:
            self._forget(name)
            (self.folder / name).unlink(missing_ok=True)

    def _write(self, features: Mapping[bytes, Feature]) -> None:
        self._describe()
        # Later shards go over earlier ones, so that a damaged row is replaced by the one computed anew.
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}.safetensors"
        shard = _pack(features, self.made_with)
        write_atomically(self.folder / name, lambda file: file.write(shard))
        self._add(name)

    def _describe(self) -> None:
        """Write beside the features what they are made with, unless it stands there."""
        path = self.folder / IDENTITY
        text = json.dumps(self.identity, indent=2).encode()
        try:
            same = path.read_bytes() == text
        except OSError:
            same = False
        if not same:
            write_atomically(path, lambda file: file.write(text))

    def _look(self) -> None:
        """Take note of the shards that came, and of those that went."""
        try:
            names = {entry.name for entry in os.scandir(self.folder) if entry.name.endswith(".safetensors")}
        except FileNotFoundError:
            names = set()
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be read ({error.strerror}): choose another --cache."
            ) from error
        for name in self._shards.keys() - names:
            self._forget(name)
        for name in sorted(names - self._shards.keys() - self._unusable):
            if not name.startswith("."):
                self._add(name)

    def _add(self, name: str) -> None:
        try:
            shard = _open(self.folder / name, self.made_with)
        except FileNotFoundError:
            return
        except DamagedShardError as error:
            self._unusable.add(name)
            log.warning("%s cannot be used, since %s: %s.", self.folder / name, error, _ANEW)
            return
        self._shards[name] = shard
        for row in range(len(shard)):
            key = shard.content(row)
            if key not in self._index or self._index[key][0] < name:
                self._index[key] = (name, row)

    def _forget(self, name: str, unusable: bool = False) -> None:
        shard = self._shards.pop(name)
        self._damaged.discard(name)
        for row in range(len(shard)):
            if self._index.get(shard.content(row)) == (name, row):
                del self._index[shard.content(row)]
        if unusable:
            self._unusable.add(name)


_ANEW = "what it lacks is computed anew"


def _checksum(*parts: bytes | str | None) -> bytes:
    """A sha256 of parts, each with its length, so that no other parts have the same."""
    found = sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        found.update(b"-" if raw is None else b"%d:" % len(raw))
        found.update(raw or b"")
    return found.digest()


def _pack(features: Mapping[bytes, Feature], made_with: str) -> bytes:
    """Make a shard."""
    rows = np.stack([feature.values for feature in features.values()]).astype("<f4", copy=False)
    contents = b"".join(features)
    checksums = b"".join(
        _checksum(c, row.tobytes(), f.partly) for (c, f), row in zip(features.items(), rows, strict=True)
    )
    partly = {str(row): f.partly for row, f in enumerate(features.values()) if f.partly is not None}
    metadata = {"format": FORMAT, "made_with": made_with, "partly": json.dumps(partly)}
    metadata["checksum"] = _of_all_but_rows(rows.shape, contents, checksums, metadata)
    tensors = {
        "features": rows,
        "contents": np.frombuffer(contents, np.uint8).reshape(-1, 32),
        "checksums": np.frombuffer(checksums, np.uint8).reshape(-1, 32),
    }
    return save(tensors, metadata)


def _of_all_but_rows(
    shape: tuple[int, ...], contents: bytes, checksums: bytes, metadata: Mapping[str, str]
) -> str:
    named = (metadata[key] for key in ("format", "made_with", "partly"))
    return _checksum(f"F32 {shape[0]} {shape[1]}", contents, checksums, *named).hex()


def _open(path: Path, made_with: str) -> _Shard:
    """Read all of a shard but its rows.

    Raises:
        DamagedShardError: It cannot be read, is damaged, or holds other features.
        FileNotFoundError: It is gone.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > total - 8:
                raise DamagedShardError("it is cut off or damaged")
            header = json.loads(file.read(length))
            begin = 8 + length

            def raw(name: str) -> bytes:
                first, last = header[name]["data_offsets"]
                file.seek(begin + first)
                return file.read(last - first)

            metadata, (n, size) = header["__metadata__"], header["features"]["shape"]
            if metadata["format"] != FORMAT:
                raise DamagedShardError(f"its format is {metadata['format']!r}, not {FORMAT!r}")
            if metadata["made_with"] != made_with:
                raise DamagedShardError("it holds features that were made with something else")
            contents, checksums = raw("contents"), raw("checksums")
            first, last = header["features"]["data_offsets"]
            sound = (
                header["features"]["dtype"] == "F32"
                and metadata["checksum"] == _of_all_but_rows((n, size), contents, checksums, metadata)
                and 32 * n == len(contents) == len(checksums)
                and last - first == 4 * n * size
                and begin + last <= total
            )
            if not sound:
                raise DamagedShardError("it is cut off or damaged")
            partly = {int(row): text for row, text in json.loads(metadata["partly"]).items()}
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedShardError(f"it cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedShardError("it is damaged, or no shard of features") from error
    return _Shard(path, begin + first, size, contents, checksums, partly)
