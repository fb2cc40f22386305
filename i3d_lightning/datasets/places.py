"""Where the files of a data set are: what is missing is looked for elsewhere, what is on no list is named."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from i3d_lightning.datasets import folder as videos_in_folders
from i3d_lightning.datasets import imagenet
from i3d_lightning.datasets.facts import identify, remembered
from i3d_lightning.datasets.faults import Fault
from i3d_lightning.datasets.manifest import Manifest
from i3d_lightning.datasets.registry import DATASETS, Dataset


def misplaced(
    manifests: Mapping[int, Manifest], here: Collection[Path], dataset: Dataset, root: Path, folder: Path
) -> Iterator[Fault]:
    """Find what is missing, look for it elsewhere, and name the files that are on no list.

    Args:
        manifests: Those of the splits.
        here: Files that are listed and there.
        dataset: The data set.
        root: Its folder.
        folder: Where manifests are kept.
    """
    missing: dict[str, list[int]] = defaultdict(list)
    for split, manifest in manifests.items():
        for id_ in (*manifest.about["missing_train"], *manifest.about["missing_test"]):
            missing[id_].append(split)
    strays = dict.fromkeys(_on_no_list(here, dataset, root))
    for id_, kind, file, said in _found(missing, list(strays), folder):
        yield Fault(kind, id_, said, _below(file, root), tuple(missing.pop(id_)))
        del strays[file]
    yield from (Fault("missing", id_, splits=tuple(of)) for id_, of in missing.items())
    yield from (Fault("unlisted", _below(file, root)) for file in strays)


def _on_no_list(here: Collection[Path], dataset: Dataset, root: Path) -> Iterator[Path]:
    """Go through the other files of the data set, of which one behind a linked folder is the same file.

    A list of one's own may leave out what it likes.
    """
    if dataset.own_list is not None:
        return
    suffixes = imagenet.SUFFIXES if dataset.images else videos_in_folders.SUFFIXES
    sharing = sum(dataset.root is not None and other.root == dataset.root for other in DATASETS) > 1
    place = Path(os.path.commonpath([file.parent for file in here])) if sharing else root
    really = cache(os.path.realpath)
    known = {(really(file.parent), file.name) for file in here}
    for file in videos_in_folders.walk(place):
        if file.suffix.lower() in suffixes and (really(file.parent), file.name) not in known:
            yield file


def _found(
    missing: Collection[str], strays: Sequence[Path], folder: Path
) -> Iterator[tuple[str, str, Path, str]]:
    """Yield missing videos that files on no list are, each with how it is known."""
    if not missing or not strays:
        return
    left, wanted = dict.fromkeys(strays), dict.fromkeys(sorted(missing))
    contents = {file.path: file.sha256 for file in identify(strays, folder)}
    before = {  # what had the missing name when it was last seen, here or in another place
        id_: content for path, content in remembered(folder).items() if (id_ := _ending(path, wanted))
    }
    ways: tuple[tuple[str, str, Callable[[str], str], Callable[[Path], str]], ...] = (
        ("misplaced", "by its name", lambda id_: Path(id_).name, lambda file: file.name),
        ("renamed", "by its content", lambda id_: before.get(id_, ""), lambda file: contents[file]),
        ("renamed", "by its name", lambda id_: _spelt(Path(id_)), _spelt),
    )
    for kind, how, told_of, told in ways:
        alike: dict[str, deque[Path]] = defaultdict(deque)
        for file in left:
            alike[told(file)].append(file)
        alike.pop("", None)
        for id_ in list(wanted):
            if files := alike.get(told_of(id_)):
                file = files.popleft()
                del left[file], wanted[id_]
                yield id_, kind, file, how


def _ending(path: str, wanted: Collection[str]) -> str:
    """Find the id that a path ends in, of the folder of a class and a name."""
    end = "/".join(Path(path).parts[-2:])
    return end if end in wanted else ""


def _spelt(name: Path) -> str:
    """Reduce a file's name to its letters and digits; of one without any nothing is left."""
    stem, suffix = (
        re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", part).casefold())
        for part in (name.stem, name.suffix)
    )
    return stem and f"{stem}.{suffix}"


def _below(path: Path, root: Path) -> str:
    """Name a file by where it is below the root, and spell out what is no text."""
    return os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")
