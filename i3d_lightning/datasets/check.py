"""What is wrong with a data set on disk: each official video is decoded and compared with all others.

What is found of contents goes into the manifests, which training and evaluation use (see `leaks`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from i3d_lightning.datasets import leaks
from i3d_lightning.datasets.contents import Content, look_at
from i3d_lightning.datasets.duplicates import near_duplicates
from i3d_lightning.datasets.faults import FAULTS, Fault, Report
from i3d_lightning.datasets.manifest import Manifest, load_manifest
from i3d_lightning.datasets.places import misplaced
from i3d_lightning.datasets.registry import DATASETS, Dataset, root_of
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest
from i3d_lightning.video.file import Segment, VideoFile, content_of

log = logging.getLogger(__name__)

RATES = (5.0, 250.0)
"""Frames a second beyond which a rate is absurd: webcams have 5, phones in slow motion 240."""
_FROM_USUAL = 2.5
"""Factor by which a rate may differ from the median of the data set: 15 and 60 are usual beside 25."""
_SIZES = 4.0
"""Factor by which the shorter side may differ from the usual one, and the longer side from the shorter."""


class _Listed(NamedTuple):
    """An official video that is there: a row of a manifest."""

    label: str
    group: str
    path: Path
    sha256: str
    bytes: int
    modified: int
    changed: int
    frames: int | None
    rate: float | None
    width: int | None
    height: int | None
    unreadable: str | None
    decoded: int | None
    start: float | None
    end: float | None

    @property
    def may_be_read(self) -> bool:
        """Whether it looks like a video; what an earlier check could not decode is tried again."""
        return bool(self.sha256) and (not self.unreadable or self.decoded is not None)

    @property
    def file(self) -> VideoFile:
        segment = None if self.start is None or self.end is None else Segment(self.start, self.end)
        return VideoFile(self.path, self.sha256, self.bytes, self.modified, self.changed, segment)

    @property
    def content(self) -> str:
        """What it shows; nothing where it cannot be read."""
        return content_of(self.sha256, self.file.segment)


def check(dataset: str, root: Path | None, splits: Sequence[int], folder: Path) -> Report:
    """Check a data set, and let its manifests know what was found.

    A check that was stopped goes on from where it was.

    Args:
        dataset: Name of a registered data set.
        root: Its folder; the rendered ones know theirs.
        splits: Official splits, from 1; none for all that are there.
        folder: Where manifests are kept.

    Raises:
        InputError: As `manifest.load_manifest`.
    """
    known = DATASETS[dataset]
    root = root_of(known, root)
    manifests = _manifests(known, root, splits, folder)
    listed = {id_: video for manifest in manifests.values() for id_, video in _rows(manifest)}
    files = {v.content: v.file for v in listed.values() if v.may_be_read}
    contents = look_at(files, folder, known.images)
    pairs = near_duplicates(contents, files, known.images)
    leaks.keep(folder, f"{dataset}-{digest(known.place(root), sorted(manifests))[:16]}", contents, pairs)
    for split in manifests:
        load_manifest(dataset, root, split, folder, again=True)
    found = _leaks(manifests, listed, contents, pairs)
    faults = [
        *misplaced(manifests, {video.path for video in listed.values()}, known, root, folder),
        *_reading(listed, contents),
        *found,
        *_duplicates(found, listed, contents, pairs),
        *_groups(manifests),
    ]
    order = list(FAULTS)
    faults.sort(key=lambda fault: (order.index(fault.kind), fault.video))
    return Report(dataset, root, tuple(manifests), len(listed), tuple(faults))


def _manifests(dataset: Dataset, root: Path, splits: Sequence[int], folder: Path) -> dict[int, Manifest]:
    """Make the manifests of splits, or of all that can be read, of the files as they are now."""
    found, errors = {}, []
    for split in splits or dataset.splits:
        try:
            found[split] = load_manifest(dataset.name, root, split, folder, again=True)
        except InputError as error:
            if splits:
                raise
            errors.append(error)
    if not found:
        raise errors[0]
    for why in errors:
        log.warning("Not checked: %s", why)
    return found


def _rows(manifest: Manifest) -> Iterator[tuple[str, _Listed]]:
    classes = manifest.about["classes"]
    names = ("id", "label", "group", "path", *_Listed._fields[3:])
    columns = (manifest.table.column(name).to_pylist() for name in names)
    for id_, label, group, path, *facts in zip(*columns, strict=True):
        yield id_, _Listed(classes[label], group, manifest.root / path, *facts)


# ----------------------------------------------------------------------------------- what files hold


def _reading(listed: Mapping[str, _Listed], contents: Mapping[str, Content]) -> Iterator[Fault]:
    """Find what cannot be read to its end, and what is unlike a video, or unlike the others."""
    read = [video for video in listed.values() if video.rate and video.width and video.height]
    usual_rate = median([video.rate or 0.0 for video in read]) if read else 0.0
    usual_side = median([min(video.width or 0, video.height or 0) for video in read]) if read else 0
    for id_, video in listed.items():
        content = contents.get(video.content)
        if video.bytes == 0:
            yield Fault("empty", id_)
        elif content is None or content.unreadable:
            why = content.unreadable if content else video.unreadable
            yield Fault("unreadable", id_, why or "it was changed while it was checked: check again")
        elif content.partly:
            yield Fault("partly", id_, str(content.partly))
        elif video.rate and video.width and video.height:
            if video.frames == 1:
                yield Fault("still", id_)
            absurd = not RATES[0] <= video.rate <= RATES[1]
            if absurd or not 1 / _FROM_USUAL <= video.rate / usual_rate <= _FROM_USUAL:
                yield Fault("rate", id_, f"{video.rate:g} fps, usual are {usual_rate:g}")
            low, high = sorted((video.width, video.height))
            if not 1 / _SIZES <= low / usual_side <= _SIZES or high > _SIZES * low:
                said = f"{video.width}x{video.height} px, of the shorter side usual are {usual_side:g}"
                yield Fault("size", id_, said)


# ---------------------------------------------------------------------------------- what is the same


def _leaks(
    manifests: Mapping[int, Manifest],
    listed: Mapping[str, _Listed],
    contents: Mapping[str, Content],
    pairs: Collection[tuple[str, str]],
) -> list[Fault]:
    twins: dict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        twins[one].append(other)
        twins[other].append(one)
    found: dict[leaks.Leak, list[int]] = defaultdict(list)
    for split, manifest in manifests.items():
        train, test = (
            [(v.id, v.sha256, v.segment) for v in videos if v.content in contents]
            for videos in (manifest.data.train, manifest.data.test)
        )
        for leak in leaks.leaks(train, test, twins):
            found[leak].append(split)
    return [
        Fault(
            "leak" if leak.exact else "near-leak",
            leak.test,
            _classes(listed, leak.test, leak.train),
            leak.train,
            tuple(splits),
        )
        for leak, splits in found.items()
    ]


def _duplicates(
    leaked: Collection[Fault],
    listed: Mapping[str, _Listed],
    contents: Mapping[str, Content],
    pairs: Collection[tuple[str, str]],
) -> Iterator[Fault]:
    """Find what is the same and is not named as leaked, and what is the same in several classes."""
    names: dict[str, list[str]] = defaultdict(list)
    for id_, video in listed.items():
        if video.content in contents:
            names[video.content].append(id_)
    named = {id_ for fault in leaked if fault.kind == "leak" for id_ in (fault.video, fault.other)}
    met = {frozenset((listed[fault.video].content, listed[fault.other].content)) for fault in leaked}
    for ids in names.values():
        if len(ids) > 1:
            said = _classes(listed, *ids)
            if said:
                yield Fault("mislabelled", ids[0], said, ", ".join(ids[1:]))
            if not named.issuperset(ids):
                yield Fault("duplicate", ids[0], said, ", ".join(ids[1:]))
    for one, other in pairs:
        ids = [names[one][0], names[other][0]]
        said = _classes(listed, *ids)
        if said:
            yield Fault("mislabelled", ids[0], said, ids[1])
        if frozenset((one, other)) not in met:
            same_group = listed[ids[0]].group == listed[ids[1]].group
            yield Fault("near-duplicate", ids[0], said or "of one group" * same_group, ids[1])


def _classes(listed: Mapping[str, _Listed], *ids: str) -> str:
    """Say of which classes the same is, where these are several."""
    classes = [listed[id_].label for id_ in ids]
    return f"as {' and as '.join(dict.fromkeys(classes))}" if len(set(classes)) > 1 else ""


def _groups(manifests: Mapping[int, Manifest]) -> Iterator[Fault]:
    """Find sources of which a split both trains and tests on videos."""
    found: dict[str, list[int]] = defaultdict(list)
    for split, manifest in manifests.items():
        train, test = ({v.group for v in part} for part in (manifest.data.train, manifest.data.test))
        for group in train & test:
            found[group].append(split)
    yield from (Fault("group", group, splits=tuple(splits)) for group, splits in found.items())
