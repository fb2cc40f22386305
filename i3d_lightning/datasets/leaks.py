"""Which test videos are trained on too: the same content under another name, or nearly the same.

The same content, or moments of it, is known from hashes and times alone. What is nearly the same only a check
finds (`check`); its verdict on each content is kept here, for every manifest made from then on.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from i3d_lightning.datasets import parquet
from i3d_lightning.video.file import Segment, content_of, overlap

if TYPE_CHECKING:  # perceptual hashes are needed to check a data set, not to use it
    from i3d_lightning.datasets.contents import Content

log = logging.getLogger(__name__)

VERSION = 2
"""Raised whenever a check would come to another verdict on the same contents."""


class Verdict(NamedTuple):
    """What a check found of a content.

    Attributes:
        decoded: Frames that are there and decode without an error.
        of: Frames that there should be.
        unreadable: Why it cannot be read to its end.
        twins: Contents that are nearly the same.
    """

    decoded: int
    of: int
    unreadable: str | None
    twins: tuple[str, ...]


class Leak(NamedTuple):
    """A test video that is trained on too.

    Attributes:
        test: Its id.
        train: Id of a training video that shows the same.
        exact: Whether the two are the same file, or share moments of it; else one was re-encoded, resized or
            trimmed.
    """

    test: str
    train: str
    exact: bool


Shown = Iterable[tuple[str, str, Segment | None]]
"""Videos by their ids, with the sha256 of their files and the parts of these that they are."""


def leaks(train: Shown, test: Shown, twins: Mapping[str, Collection[str]]) -> list[Leak]:
    """List the test videos that are trained on too, each with one training video.

    Args:
        train: Readable videos that are trained on.
        test: Readable videos that are tested on.
        twins: Contents that are nearly the same as another.
    """
    trained: dict[str, str] = {}
    parts: dict[str, list[tuple[str, Segment | None]]] = defaultdict(list)
    for video, sha256, segment in train:
        trained.setdefault(content_of(sha256, segment), video)
        parts[sha256].append((video, segment))
    found = []
    for video, sha256, segment in test:
        content = content_of(sha256, segment)
        moments = (other for other, part in parts.get(sha256, ()) if overlap(part, segment))
        same = trained.get(content) or next(moments, None)
        alike = (trained[twin] for twin in sorted(twins.get(content, ())) if twin in trained)
        if other := same or next(alike, None):
            found.append(Leak(video, other, same is not None))
    return found


_SCHEMA = pa.schema(
    {
        "sha256": pa.string(),
        "decoded": pa.int64(),
        "of": pa.int64(),
        "unreadable": pa.string(),
        "twins": pa.list_(pa.string()),
    }
)


def keep(
    folder: Path, name: str, contents: Mapping[str, Content], pairs: Collection[tuple[str, str]]
) -> None:
    """Write down what a check found of contents that were all compared with each other.

    Args:
        folder: Where manifests are kept.
        name: Whose check it was; its next one takes the place of this.
        contents: What each content shows.
        pairs: Contents that are nearly the same.

    Raises:
        InputError: The folder cannot be written to.
    """
    twins = defaultdict(list)
    for one, other in pairs:
        twins[one].append(other)
        twins[other].append(one)
    rows = [(c, w.decoded, w.of, w.unreadable, twins[c]) for c, w in contents.items()]
    parquet.write(folder / f"checked-{VERSION}-{name}.parquet", parquet.table_of(rows, _SCHEMA))


def verdicts(folder: Path, wanted: Collection[str]) -> tuple[dict[str, Verdict], bool]:
    """Read what checks found of contents, and whether one check compared all of them with each other."""
    found: dict[str, Verdict] = {}
    together = False
    for file in sorted(folder.glob(f"checked-{VERSION}-*.parquet")):
        try:
            table = parquet.read(file)
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s): check the data set again.", file, str(error).split("\n")[0])
            continue
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        known = {c: Verdict(d, of, why, tuple(twins)) for c, d, of, why, twins in rows if c in wanted}
        together = together or len(known) == len(wanted)
        for content, verdict in known.items():
            before = found.get(content, verdict)
            best = max(before, verdict, key=lambda v: v.decoded)  # what could not be read once may be now
            found[content] = best._replace(twins=tuple({*before.twins, *verdict.twins}))
    return found, together
