"""Data sets of one's own, made of a list or a folder where they are named, each under a name of its own.

    i3d experiment --dataset lists/surgery.csv ...          # called surgery
    i3d experiment --dataset sewing=lists/v2.parquet ...    # called sewing
    i3d experiment --dataset clips/ ...                     # train/<class>/, test/<class>/

Another process has to be told what a name stands for (`Dataset.source`): planned cells and runs say it.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from i3d_lightning.datasets.folder import is_folder, read_folder
from i3d_lightning.datasets.lists import SUFFIXES, read_list, reader
from i3d_lightning.datasets.registry import DATASETS, Dataset
from i3d_lightning.datasets.split import is_file
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, NONE, STREAMS
from i3d_lightning.pretraining import CORPORA

log = logging.getLogger(__name__)

FOLDER = "folder"
"""Stands for the folder given as root."""
_TAKEN = (NONE, "random", "demo", "all", FOLDER, FUSION, *STREAMS)
"""Words that mean something else where names of data sets do."""
_LONGEST = 100
"""Characters of a name, which parts of paths are made of."""
_ASKS = {"clips.flip": "whether a video flipped from left to right keeps its label"}


def named(said: str, root: Path | None = None) -> str:
    """Find the name of a data set that a user names, or make one of her own.

    Args:
        said: The name of a registered one; the path of a list, or of a folder; or `NAME=PATH`; or `folder`
            for the folder given as root.
        root: Folder that was said beside it.

    Raises:
        InputError: There is none, or its name is taken.
    """
    if not isinstance(said, str) or said in DATASETS:
        return said
    if not said:
        raise InputError("The name of a data set is empty: say one, or the path of your own.")
    if said == FOLDER:
        if root is None:
            raise InputError("Say which folder: --dataset PATH.")
        return add(root).name
    there = is_file(Path(said)) or is_folder(Path(said))
    name, equals, place = ("", "", said) if there else said.partition("=")
    path = Path(place if equals else said)
    if not equals and not is_folder(path) and path.suffix.lower() not in SUFFIXES and path.name == said:
        return DATASETS[said].name  # which says that it is unknown
    made = add(path, name if equals else "")
    if made.own_list is None and root is not None and root.resolve() != path.resolve():
        raise InputError(f"{path} is a folder of videos itself: drop --root {root}.")
    return made.name


def add(source: Path, name: str = "") -> Dataset:
    """Make a data set of a list or folder, and register it.

    Args:
        source: A list (see `lists`), or a folder with `train/<class>/` and `test/<class>/`.
        name: What to call it; by default as the file or folder is called.

    Raises:
        InputError: There is no such list or folder, it is wrong, or the name is taken or none.
    """
    source = source.absolute()
    if not is_folder(source) and not (is_file(source) and source.suffix.lower() in SUFFIXES):
        what = "is no list of videos (.csv or .parquet)" if is_file(source) else "does not exist"
        raise InputError(f"{source} {what}: give a list, or a folder with train/<class>/ and test/<class>/.")
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", _stem(source)).strip("._-")
    _check_name(name, source)
    return DATASETS.replace(_of_folder(source, name) if is_folder(source) else _of_list(source, name))


def _stem(source: Path) -> str:
    return source.name if is_folder(source) else source.stem


def source_of(name: str) -> str | None:
    """Say what another process has to be told of a data set; nothing of those that it knows anyway."""
    known = DATASETS.get(name)
    return None if known is None or known.source is None else str(known.source)


def restore(name: str, source: str | None, root: Path | None = None, said: str | None = None) -> None:
    """Make a data set again of what `source_of` said of it, unless that was nothing.

    Args:
        name: Of the data set.
        source: Where its list or folder was.
        root: Where its videos are now, if they were moved; a list that is gone is looked for there.
        said: Where its list or folder is now, if that was moved elsewhere: a path, or `NAME=PATH`.

    Raises:
        InputError: It is gone, or is no longer what it was.
    """
    if source is None:
        if said is not None:
            raise InputError(f"{name} is no data set of your own: drop --dataset {said}.")
        return
    before = Path(source)
    if said is not None:
        add(Path(said.removeprefix(f"{name}=")), name)
    elif before.suffix.lower() in SUFFIXES:
        add(_find_list(before, name, root), name)
    elif root is None and not before.exists():
        raise InputError(
            f"{before}, which {name} was made of, is gone: bring it back, or say with --root FOLDER "
            "where it is now."
        )
    else:
        add(root or before, name)


def _find_list(before: Path, name: str, root: Path | None) -> Path:
    """Find a list where it was, or else in the folder that its videos are in now."""
    for place in (before, *([] if root is None else [root / before.name])):
        if place.exists():
            return place
    beside = "" if root is None else f", and not in {root}"
    raise InputError(
        f"{before}, which {name} was made of, is gone{beside}: bring it back, or say with --dataset PATH "
        "where it is now, and with --root where its videos are if these were moved too."
    )


def _check_name(name: str, source: Path) -> None:
    rename = f"call it something else, --dataset NAME={source}"
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST - 1}}}", name):
        raise InputError(
            f"'{name}' is no name for {source}, which needs letters, digits and . _ - only, at most "
            f"{_LONGEST}: {rename}."
        )
    known = DATASETS.get(name)
    words = (*_TAKEN, *CORPORA.names(), *(d.teaches for d in DATASETS))
    if name in words or (known and known.source is None):
        raise InputError(f"{source} cannot be called {name}, which means something else: {rename}.")
    if known is not None and known.source != source:
        raise InputError(f"{source} and {known.source} are both called {name}: {rename}.")


def _of_folder(folder: Path, name: str) -> Dataset:
    return Dataset(name, read_folder, groups=False, root=folder, asks=_ASKS, source=folder)


def _of_list(source: Path, name: str) -> Dataset:
    found = read_list(source)
    if DATASETS.get(name) is None:
        splits = ", ".join(map(str, found.splits))
        known = "groups are known" if found.groups else "no groups are known, so each video is its own"
        others = f"; columns without meaning here: {', '.join(found.ignored)}" if found.ignored else ""
        log.info(
            "%s: %d videos of %d classes in %s; split %s; %s%s.",
            name, len(found.rows), len(found.classes), source, splits, known, others,
        )  # fmt: skip
    return Dataset(
        name,
        reader(source),
        splits=found.splits,
        groups=found.groups,
        root=source.parent,
        asks=_ASKS,
        source=source,
    )
