"""Kinetics (Kay et al., 2017) and later releases, as downloaders leave it: https://deepmind.com/kinetics."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from i3d_lightning.datasets.folder import SUFFIXES, walk
from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, Video, below, first_folder
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.recipe import Changes

_PARTS = {"train": ("train",), "validate": ("validate", "val"), "test": ("test",)}
"""Parts of the data set and the names that their lists bear."""


def read_kinetics(root: Path, split: int) -> DatasetSplit:
    """Read the public CSV lists (label, youtube_id, time_start, time_end, split).

    Videos are found by name, `<id>_<start>_<end>` with times as six digits or `<id>` alone, in
    whatever folders below `root`: downloaders differ in those, and in how they spell labels. Tested
    on is the test set if any of its videos are there, and else the validation set.

    Args:
        root: Holds the CSV files, directly or in `annotations/`, and the videos.
        split: Kinetics has only 1.

    Raises:
        InputError: The lists or all videos are missing, or a list is wrong.
    """
    if split != 1:
        raise InputError(f"Kinetics has no split {split}: it has only split 1.")
    lists = first_folder(root, (".", "annotations"), "train.csv", "Kinetics training list")
    rows = {part: _rows(lists, names) for part, names in _PARTS.items()}
    classes = tuple(sorted({row["label"] for part in rows.values() for row in part}))
    files = {file.stem: file for file in sorted(walk(root)) if file.suffix.lower() in SUFFIXES}
    found = {part: _found(listed, files, classes) for part, listed in rows.items()}
    tested_on = "test" if found["test"][0] else "validate"
    (train, missing_train), (test, missing_test) = found["train"], found[tested_on]
    return DatasetSplit("kinetics", split, classes, train, test, missing_train, missing_test, tested_on)


def _rows(lists: Path, names: tuple[str, ...]) -> list[dict[str, str]]:
    """Read the labelled rows of the first list there is; early test lists had no labels."""
    for file in (lists / f"{name}.csv" for name in names):
        if file.is_file():
            try:
                reader = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline=""))
                rows = list(reader)
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                raise InputError(f"{file} is no CSV list in UTF-8 ({error}): download it again.") from error
            else:
                lacking = {"label", "youtube_id", "time_start", "time_end"} - set(reader.fieldnames or ())
                if lacking and file.name == "train.csv":
                    raise InputError(
                        f"{file} lacks the column {', '.join(sorted(lacking))}: use the public CSV list."
                    )
                return [] if lacking else [row | {"id": _id(row, file)} for row in rows if row["label"]]
    return []


def _id(row: Mapping[str, str | None], file: Path) -> str:
    """Name a row's clip as downloaders name its file."""
    try:
        source = below(row["youtube_id"] or "", str(file))
        start, end = (float(row[name] or "") for name in ("time_start", "time_end"))
        if "/" not in source and 0 <= start < end < 1e6:
            return f"{source}_{int(start):06d}_{int(end):06d}"
    except ValueError:
        pass
    raise InputError(f"{file} has a row that is no clip of a video: {str(dict(row))[:200]}: mend the list.")


def _found(
    rows: list[dict[str, str]], files: Mapping[str, Path], classes: tuple[str, ...]
) -> tuple[tuple[Video, ...], tuple[str, ...]]:
    """Part listed videos into those that have a file and the ids of the others."""
    labels = {name: label for label, name in enumerate(classes)}
    videos, missing = [], []
    for row in rows:
        source = row["youtube_id"]
        id_ = row["id"]
        file = files.get(id_) or files.get(source)
        if file is None:
            missing.append(id_)
        else:
            videos.append(Video(id_, file, labels[row["label"]], source))
    return tuple(videos), tuple(missing)


# 64 replicas of 6 clips, as the authors gave them to users of their code, whose batch normalisation has
# Sonnet's decay of 0.999: https://github.com/google-deepmind/kinetics-i3d
_TRAINING: Changes = {
    "batch_size": 384,
    "reference_batch": 384,
    "learning_rate": 0.1,
    "validate_every": 2_500,
    "batchnorm_momentum": 0.001,
}
_I3D = ("i3d", "i3d-early-stride")
# The schedules of the authors' released weights, which are I3D's alone.
_RGB: Changes = {
    "training": {**_TRAINING, "steps": 115_000, "stages": ((97_000, 0.1), (108_000, 0.01))},
}
_FLOW: Changes = {
    "training": {
        **_TRAINING,
        "steps": 155_000,
        "stages": ((97_000, 0.1), (104_500, 0.01), (115_000, 1.0), (140_000, 0.1), (150_000, 0.01)),
    },
}
# Of the others the paper (section 2.5) says 110k steps, and a tenth of the rate at saturation. Ours
# are batch and first rate, which are I3D's, the share held out, and the latest steps: I3D's, in proportion.
_OTHERS: Changes = {
    "training": {
        **_TRAINING,
        "steps": 110_000,
        "schedule": "plateau",
        "validation_fraction": 0.01,
        "stages": ((92_500, 0.1), (102_500, 0.01)),
    },
}


def _recipe(experiment: Experiment) -> Changes:
    if experiment.architecture not in _I3D:
        return _OTHERS
    return _FLOW if experiment.stream == "flow" else _RGB


register(Dataset("kinetics", read_kinetics, recipe=_recipe, teaches="kinetics", stands_for="kinetics"))
# Later releases have lists of the same form, and other videos of other classes: weights that have seen them
# are others (Carreira et al., 2018, 2019; Smaira et al., 2020).
for _name in ("kinetics600", "kinetics700", "kinetics700-2020"):
    register(Dataset(_name, read_kinetics, recipe=_recipe, teaches=_name))
