"""What may be wrong with a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAULTS = {
    "missing": "listed, but there is no file",
    "misplaced": "listed, but the file lies in another folder",
    "renamed": "listed, but the file has another name",
    "unlisted": "below the root, but neither trained nor tested on",
    "empty": "of zero length",
    "unreadable": "cannot be read, or not to its end",
    "partly": "can be read in part",
    "still": "of a single frame",
    "rate": "of an odd frame rate",
    "size": "of an odd size",
    "leak": "tested on and, as the same file, trained on",
    "duplicate": "the same file under several names",
    "mislabelled": "the same content in several classes",
    "near-leak": "tested on and, re-encoded, resized or trimmed, trained on",
    "near-duplicate": "the same, re-encoded, resized or trimmed",
    "group": "a source that is both trained and tested on",
}
"""Kinds of faults, and what they say of a video."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a data set.

    Attributes:
        kind: One of `FAULTS`.
        video: Id of the video; of a file that is on no list its path, of a group its name.
        said: More of it, in words.
        other: Id or path of another video that has to do with it.
        splits: Splits in which that is so.
    """

    kind: str
    video: str
    said: str = ""
    other: str = ""
    splits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a check of a data set came to.

    Attributes:
        dataset: Name of the data set.
        root: Its folder.
        splits: The splits that were checked.
        videos: Official videos that are there.
        faults: All that is wrong.
    """

    dataset: str
    root: Path
    splits: tuple[int, ...]
    videos: int
    faults: tuple[Fault, ...]

    def of(self, kind: str) -> list[Fault]:
        """List the faults of a kind."""
        return [fault for fault in self.faults if fault.kind == kind]


def as_json(report: Report) -> list[dict[str, Any]]:
    """Give every fault as what JSON holds."""
    return [
        {
            "fault": fault.kind,
            "video": fault.video,
            "other": fault.other,
            "said": fault.said,
            "splits": list(fault.splits),
        }
        for fault in report.faults
    ]
