"""What is wrong with a data set on disk: each official video is decoded and compared with all others.

What is found of contents goes into the manifests, which training and evaluation use (see `leaks`).
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from i3d_lightning.datasets import folder as videos_in_folders
from i3d_lightning.datasets import imagenet, leaks
from i3d_lightning.datasets.contents import Content, look_at
from i3d_lightning.datasets.duplicates import near_duplicates
from i3d_lightning.datasets.manifest import Manifest, identify, load_manifest, remembered
from i3d_lightning.datasets.registry import DATASETS, Dataset, root_of
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest

log = logging.getLogger(__name__)

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

RATES = (5.0, 250.0)
"""Frames a second beyond which a rate is absurd: webcams have 5, phones in slow motion 240."""
_FROM_USUAL = 2.5
"""Factor by which a rate may differ from the median of the data set: 15 and 60 are usual beside 25."""
_SIZES = 4.0
"""Factor by which the shorter side may differ from the usual one, and the longer side from the shorter."""


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


class _Listed(NamedTuple):
    """An official video that is there: a row of a manifest."""

    label: str
    group: str
    path: Path
    sha256: str
    bytes: int
    frames: int | None
    rate: float | None
    width: int | None
    height: int | None
    unreadable: str | None
    decoded: int | None

    @property
    def may_be_read(self) -> bool:
        """Whether it looks like a video; what an earlier check could not decode is tried again."""
        return bool(self.sha256) and (not self.unreadable or self.decoded is not None)


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
    files = {v.sha256: v.path for v in listed.values() if v.may_be_read}
    contents = look_at(files, folder, known.images)
    pairs = near_duplicates(contents, files, known.images)
    leaks.keep(folder, f"{dataset}-{digest(str(root.resolve()), sorted(manifests))[:16]}", contents, pairs)
    for split in manifests:
        load_manifest(dataset, root, split, folder, again=True)
    faults = [
        *_places(manifests, listed, known, root, folder),
        *_reading(listed, contents),
        *_leaks(manifests, listed, contents, pairs),
        *_duplicates(manifests, listed, contents, pairs),
        *_groups(manifests),
    ]
    order = list(FAULTS)
    faults.sort(key=lambda fault: (order.index(fault.kind), fault.video))
    return Report(dataset, root, tuple(manifests), len(listed), tuple(faults))


def _manifests(dataset: Dataset, root: Path, splits: Sequence[int], folder: Path) -> dict[int, Manifest]:
    """Load the manifests of splits, or of all that can be read."""
    found, errors = {}, []
    for split in splits or dataset.splits:
        try:
            found[split] = load_manifest(dataset.name, root, split, folder)
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


# ----------------------------------------------------------------------------------- where files are


def _places(
    manifests: Mapping[int, Manifest],
    listed: Mapping[str, _Listed],
    dataset: Dataset,
    root: Path,
    folder: Path,
) -> Iterator[Fault]:
    """Find what is missing, look for it elsewhere, and name the files that are on no list."""
    missing: dict[str, list[int]] = defaultdict(list)
    for split, manifest in manifests.items():
        for id_ in (*manifest.about["missing_train"], *manifest.about["missing_test"]):
            missing[id_].append(split)
    here = {video.path for video in listed.values()}
    suffixes = imagenet.SUFFIXES if dataset.images else videos_in_folders.SUFFIXES
    sharing = sum(dataset.root is not None and other.root == dataset.root for other in DATASETS) > 1
    place = Path(os.path.commonpath([file.parent for file in here])) if sharing else root
    strays = [f for f in videos_in_folders.walk(place) if f.suffix.lower() in suffixes and f not in here]
    for id_, kind, file, said in _found(missing, strays, folder):
        yield Fault(kind, id_, said, _below(file, root), tuple(missing.pop(id_)))
        strays.remove(file)
    yield from (Fault("missing", id_, splits=tuple(of)) for id_, of in missing.items())
    yield from (Fault("unlisted", _below(file, root)) for file in strays)


def _found(
    missing: Collection[str], strays: Sequence[Path], folder: Path
) -> Iterator[tuple[str, str, Path, str]]:
    """Yield missing videos that files on no list are, each with how it is known."""
    if not missing or not strays:
        return
    left, wanted = list(strays), set(missing)
    contents = {file.path: file.sha256 for file in identify(strays, folder)}
    before = {  # what had the missing name when it was last seen, here or in another place
        id_: content for path, content in remembered(folder).items() if (id_ := _ending(path, wanted))
    }
    ways = (
        ("misplaced", lambda id_, file: file.name == Path(id_).name, "by its name"),
        ("renamed", lambda id_, file: contents[file] and contents[file] == before.get(id_), "by its content"),
        ("renamed", lambda id_, file: _spelt(file.name) == _spelt(Path(id_).name), "by its name"),
    )
    for kind, is_it, how in ways:
        for id_ in sorted(wanted):
            if file := next((file for file in left if is_it(id_, file)), None):
                left.remove(file)
                wanted.remove(id_)
                yield id_, kind, file, how


def _ending(path: str, wanted: Collection[str]) -> str:
    """Find the id that a path ends in, of the folder of a class and a name."""
    end = "/".join(Path(path).parts[-2:])
    return end if end in wanted else ""


def _spelt(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.casefold())


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


# ----------------------------------------------------------------------------------- what files hold


def _reading(listed: Mapping[str, _Listed], contents: Mapping[str, Content]) -> Iterator[Fault]:
    """Find what cannot be read to its end, and what is unlike a video, or unlike the others."""
    read = [video for video in listed.values() if video.rate and video.width and video.height]
    usual_rate = median([video.rate or 0.0 for video in read]) if read else 0.0
    usual_side = median([min(video.width or 0, video.height or 0) for video in read]) if read else 0
    for id_, video in listed.items():
        content = contents.get(video.sha256)
        if video.bytes == 0:
            yield Fault("empty", id_)
        elif content is None or content.unreadable:
            yield Fault("unreadable", id_, (content and content.unreadable) or video.unreadable or "")
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
) -> Iterator[Fault]:
    twins: dict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        twins[one].append(other)
        twins[other].append(one)
    found: dict[leaks.Leak, list[int]] = defaultdict(list)
    for split, manifest in manifests.items():
        train, test = (
            [(v.id, v.sha256) for v in videos if v.sha256 in contents]
            for videos in (manifest.data.train, manifest.data.test)
        )
        for leak in leaks.leaks(train, test, twins):
            found[leak].append(split)
    for leak, splits in found.items():
        said = _classes(listed, leak.test, leak.train)
        yield Fault("leak" if leak.exact else "near-leak", leak.test, said, leak.train, tuple(splits))


def _duplicates(
    manifests: Mapping[int, Manifest],
    listed: Mapping[str, _Listed],
    contents: Mapping[str, Content],
    pairs: Collection[tuple[str, str]],
) -> Iterator[Fault]:
    """Find what is the same and is not parted by a split, and what is the same in several classes."""
    names: dict[str, list[str]] = defaultdict(list)
    for id_, video in listed.items():
        if video.sha256 in contents:
            names[video.sha256].append(id_)
    sides = [
        ({v.id for v in manifest.data.train}, {v.id for v in manifest.data.test})
        for manifest in manifests.values()
    ]

    def parted(ids: Collection[str]) -> bool:
        return any(train & set(ids) and test & set(ids) for train, test in sides)

    for ids in names.values():
        if len(ids) > 1:
            said = _classes(listed, *ids)
            if said:
                yield Fault("mislabelled", ids[0], said, ", ".join(ids[1:]))
            if not parted(ids):
                yield Fault("duplicate", ids[0], said, ", ".join(ids[1:]))
    for one, other in pairs:
        ids = [names[one][0], names[other][0]]
        said = _classes(listed, *ids)
        if said:
            yield Fault("mislabelled", ids[0], said, ids[1])
        if not parted((*names[one], *names[other])):
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
