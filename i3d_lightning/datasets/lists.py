"""Lists of videos as people keep them: CSV or Parquet, a row for each video, or for each segment of one.

    path,label,split,group,start,end
    day1/a.mp4,cut,train,patient1,12.5,20
    day1/a.mp4,sew,train,patient1,20,31.4
    day2/b.mp4,cut,test,patient2,3,9

Of several splits each has a column, `split1`, `split2`, ...; an empty cell leaves a video out of one. What
could be meant in two ways is refused, with the row.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from i3d_lightning.datasets.registry import Read
from i3d_lightning.datasets.rows import read_rows
from i3d_lightning.datasets.split import DatasetSplit, Video, is_file
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest, is_text
from i3d_lightning.video.file import Segment

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".parquet")
"""How names of lists end."""
_LARGEST = 2**28
"""Bytes of a list: millions of videos, beyond which it is something else."""
_NOTHING = ("nan", "NaN")
"""What programs write where there is nothing."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_KNOWN = ("path", "label", "group", "start", "end")
_SPLIT = re.compile(r"split([1-9][0-9]{0,3})?")
_TRAIN, _TEST, _VALIDATE = "train", "test", "validate"
_WORDS = {
    **dict.fromkeys(("train", "training"), _TRAIN),
    **dict.fromkeys(("test", "testing"), _TEST),
    **dict.fromkeys(("val", "validation", "validate"), _VALIDATE),
    "": "",
}
"""What a cell of a split may say, and which part that is."""


class _Row(NamedTuple):
    """A video.

    Attributes:
        where: Which row of the list it is.
        path: Of its file, as the list has it.
        label: Name of its class.
        group: Of videos that share a source; nothing where none is known.
        segment: The part of the file that it is.
        parts: By split, the part that it belongs to.
    """

    where: str
    path: str
    label: str
    group: str
    segment: Segment | None
    parts: Mapping[int, str]

    @property
    def id(self) -> str:
        return self.path if self.segment is None else f"{self.path}#{self.segment}"


@dataclass(frozen=True)
class VideoList:
    """A list that was read.

    Attributes:
        source: Its file.
        rows: Its videos.
        splits: Numbers of its splits.
        ignored: Columns that mean nothing here.
    """

    source: Path
    rows: Sequence[_Row]
    splits: tuple[int, ...]
    ignored: tuple[str, ...]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Its labels, sorted; those that are all numbers by these."""
        labels = sorted({row.label for row in self.rows})
        numbers = [number for label in labels if (number := _number(label)) is not None]
        if len(numbers) < len(labels):
            return tuple(labels)
        return tuple(label for _, label in sorted(zip(numbers, labels, strict=True)))

    @property
    def digest(self) -> str:
        """Identify all of it, wherever its videos lie and whichever split they are in."""
        return digest(self.classes, sorted((row.id, row.label, row.group) for row in self.rows))

    @property
    def groups(self) -> bool:
        """Whether it says which videos share a source: by a column, or as segments of one file."""
        files = {self.source.parent / row.path for row in self.rows}
        return any(row.group for row in self.rows) or len(files) < len(self.rows)

    def split(self, root: Path, number: int) -> DatasetSplit:
        """Make one of its splits.

        Args:
            root: Where relative paths begin.
            number: Of the split.

        Raises:
            InputError: A file is missing or has two groups, a part is empty, or nobody can tell what to test
                on.
        """
        there = Counter(row.parts[number] for row in self.rows)
        if there[_TEST] and there[_VALIDATE]:
            raise InputError(
                f"{self.source} has videos to validate and to test on in split {number}: call the former "
                "train (settings are chosen on groups held out of it), or empty their cells to leave them."
            )
        tested_on = _VALIDATE if there[_VALIDATE] else _TEST
        for part in (_TRAIN, tested_on):
            if not there[part]:
                raise InputError(
                    f"{self.source} has no video to {part} on in split {number}: say {part} in that column."
                )
        self._check_files(root)
        groups = self._groups(root)
        train, test = (
            tuple(self._video(row, root, groups) for row in self.rows if row.parts[number] == part)
            for part in (_TRAIN, tested_on)
        )
        if unseen := sorted({v.label for v in test} - {v.label for v in train}):
            log.warning(
                "%s tests on %d classes that split %d does not train on, such as %s: none can be right.",
                self.source, len(unseen), number, self.classes[unseen[0]],
            )  # fmt: skip
        if shared := {v.group for v in train} & {v.group for v in test}:
            log.warning(
                "%s trains and tests on videos of %d groups in split %d, such as %s.",
                self.source, len(shared), number, min(shared),
            )  # fmt: skip
        return DatasetSplit(
            self.source.stem, number, self.classes, train, test, tested_on=tested_on, whole=self.digest
        )

    def _video(self, row: _Row, root: Path, groups: Mapping[str, str]) -> Video:
        label, group = self._labels[row.label], groups[row.path]
        return Video(row.id, root / row.path, label, group, segment=row.segment)

    def _groups(self, root: Path) -> dict[str, str]:
        """Say of each path which group its file is of; where the list does not, all of a file is one.

        That is called by the first path that leads to the file, which no place of the data set changes.
        """
        files: dict[str, _Row] = {}
        found: dict[str, str] = {}
        real = cache(os.path.realpath)
        for row in self.rows:
            first = files.setdefault(real(root / row.path), row)
            if row.group != first.group:
                said = " and ".join(f"'{group}'" if group else "none" for group in (row.group, first.group))
                place = first.where.rpartition(", ")[2]
                raise InputError(
                    f"{row.where} and {place} are of one file, {first.path}, but say different groups, "
                    f"{said}: say the same in both."
                )
            found[row.path] = first.group or first.path
        return found

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.classes)}

    def _check_files(self, root: Path) -> None:
        missing = [row for row in self.rows if not is_file(root / row.path)]
        if missing:
            first = missing[0]
            more = f", nor those of {len(missing) - 1} more rows" if missing[1:] else ""
            raise InputError(
                f"{first.where}: there is no file {root / first.path}{more}; mend the list, or say with "
                "--root where its paths begin."
            )


def read_list(source: Path) -> VideoList:
    """Read a list.

    Raises:
        InputError: It is no such list, or says something that is wrong or could be meant in two ways.
    """
    try:
        size = source.stat().st_size
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}): check the path.") from error
    if size > _LARGEST:
        raise InputError(
            f"{source} has {size / 1e6:.0f} MB, but a list of videos at most {_LARGEST / 1e6:.0f}: check it."
        )
    names, lines = read_rows(source, _means)
    splits = _splits(source, names)
    rows = [_row(f"{source}, {where}", row, splits) for where, row in lines]
    if not rows:
        raise InputError(f"{source} has no row: list a video in each, as path, label and split.")
    _check_unique(rows)
    _check_numbers(rows)
    ignored = tuple(name for name in names if not _means(name))
    found = VideoList(source, rows, tuple(splits), ignored)
    if len(found.classes) < 2:
        raise InputError(f"{source} has the one label '{found.classes[0]}': there is nothing to tell apart.")
    return found


def reader(source: Path) -> Read:
    """Make what reads a split of a list."""

    def read(root: Path, split: int) -> DatasetSplit:
        return read_list(source).split(root, split)

    return read


def _means(name: str) -> bool:
    """Whether a column means something."""
    return name in _KNOWN or _SPLIT.fullmatch(name) is not None


def _splits(source: Path, names: Sequence[str]) -> dict[int, str]:
    """The column of each split."""
    if twice := next((name for name in names if _means(name) and names.count(name) > 1), None):
        raise InputError(f"{source} has the column {twice} twice: keep one.")
    found = {int(match[1] or 1): name for name in names if (match := _SPLIT.fullmatch(name))}
    lacking = [name for name in ("path", "label") if name not in names]
    if not found:
        lacking.append("split")
    if lacking:
        shown = ", ".join(names)[:200] or "none"
        raise InputError(f"{source} lacks the column {', '.join(lacking)}: it has {shown}.")
    if "split" in names and sum(_SPLIT.fullmatch(name) is not None for name in names) > 1:
        raise InputError(f"{source} has a column split and numbered ones: call it split1, or take it out.")
    if ("start" in names) != ("end" in names):
        raise InputError(f"{source} has only one of the columns start and end: a segment needs both.")
    return dict(sorted(found.items()))


def _row(where: str, cells: Mapping[str, str], splits: Mapping[int, str]) -> _Row:
    for name in ("path", "label"):
        if cells[name] in ("", *_NOTHING):
            raise InputError(f"{where} has no {name}: fill it in, or take the row out.")
    if cells.get("group") in _NOTHING:
        raise InputError(f"{where} has the group '{cells['group']}': fill it in, or leave the cell empty.")
    for name in _KNOWN:
        if not is_text(cells.get(name, "")):
            raise InputError(f"{where} has the {name} {cells[name]!r}, which is no text: mend it.")
    path = cells["path"]
    if path != os.path.normpath(path) or {".", ".."} & set(path.split("/")):
        raise InputError(f"{where} has the path {path!r}: write it without '.', '..' and double slashes.")
    parts = {}
    for number, column in splits.items():
        if (word := cells[column].lower()) not in _WORDS:
            raise InputError(
                f"{where} says '{cells[column][:100]}' in {column}, but must say train or test, or nothing "
                "where the video is in neither."
            )
        parts[number] = _WORDS[word]
    return _Row(where, path, cells["label"], cells.get("group", ""), _segment(where, cells), parts)


def _segment(where: str, cells: Mapping[str, str]) -> Segment | None:
    said = cells.get("start", ""), cells.get("end", "")
    if said == ("", ""):
        return None
    if "" in said:
        raise InputError(f"{where} has only one of start and end: give both, or none for the whole video.")
    try:
        start, end = (round(float(time), 6) for time in said)  # what was computed, as it was meant
    except ValueError:
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        raise InputError(
            f"{where} has the start '{said[0][:50]}' and the end '{said[1][:50]}', but they are "
            "seconds: mend them."
        )
    if not 0 <= start < end:
        raise InputError(f"{where} begins at {start:g} s and ends at {end:g} s: mend one of them.")
    return Segment(start, end)


def _check_unique(rows: Sequence[_Row]) -> None:
    """Refuse what is listed twice, whether or not it is the same twice."""
    met: dict[tuple[str, Segment | None], _Row] = {}
    for row in rows:
        before = met.setdefault((row.path, row.segment), row)
        if before is not row:
            labels = "" if before.label == row.label else f", as '{before.label}' and as '{row.label}'"
            place = before.where.rpartition(", ")[2]
            raise InputError(f"{row.where} lists {row.id} again (see {place}){labels}: keep one of them.")


def _check_numbers(rows: Iterable[_Row]) -> None:
    """Refuse labels that are one number and are written in two ways."""
    met: dict[Decimal, _Row] = {}
    for row in rows:
        number = _number(row.label)
        if number is not None and (before := met.setdefault(number, row)).label != row.label:
            place = before.where.rpartition(", ")[2]
            raise InputError(
                f"{row.where} has the label '{row.label}', and {place} the same number as '{before.label}': "
                "write it in one way."
            )


def _number(label: str) -> Decimal | None:
    """The number that a label is, if it is one."""
    return Decimal(label) if _NUMBER.fullmatch(label) else None
