"""Something-Something v2 (Goyal et al., 2017): https://www.qualcomm.com/developer/software/something-something-v-2-dataset.

What happens is told by its direction ("Pushing something from left to right"), so no clip is mirrored. Who
filmed what is not published: each video is its own group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i3d_lightning.datasets.folder import SUFFIXES, walk
from i3d_lightning.datasets.registry import Dataset, register
from i3d_lightning.datasets.split import DatasetSplit, Video, below, first_folder, is_file
from i3d_lightning.errors import InputError

_PREFIX = "something-something-v2-"


def read_ssv2(root: Path, split: int) -> DatasetSplit:
    """Read the official JSON lists; tested on is the validation set, since labels of the test set are secret.

    Args:
        root: Holds `something-something-v2-train.json`, `-validation.json` and `-labels.json`, directly or in
            `labels/` (there also without the long prefix), and the videos `<id>.webm` at any depth.
        split: It has only 1.

    Raises:
        InputError: The lists are missing or wrong.
    """
    if split != 1:
        raise InputError(f"Something-Something v2 has no split {split}: it has only split 1.")
    lists = first_folder(root, (".", "labels"), "*train.json", "Something-Something v2 training list")
    classes = _classes(lists)
    files = {file.stem: file for file in sorted(walk(root)) if file.suffix.lower() in SUFFIXES}
    (train, missing_train), (test, missing_test) = (
        _found(_read(lists, part), part, files, classes) for part in ("train", "validation")
    )
    return DatasetSplit("ssv2", split, tuple(classes), train, test, missing_train, missing_test, "validate")


def _read(lists: Path, part: str) -> Any:
    file = next((f for f in (lists / f"{p}{part}.json" for p in (_PREFIX, "")) if is_file(f)), None)
    if file is None:
        raise InputError(f"{lists} lacks {_PREFIX}{part}.json: download it again.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is no JSON list in UTF-8 ({error}): download it again.") from error


def _classes(lists: Path) -> dict[str, int]:
    """The labels by their official numbers."""
    content = _read(lists, "labels")
    try:
        numbered = {str(label): int(number) for label, number in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"The labels in {lists} are no names with numbers: download them again.") from error
    ordered = dict(sorted(numbered.items(), key=lambda item: item[1]))
    if list(ordered.values()) != list(range(len(ordered))):
        raise InputError(f"The labels in {lists} are not numbered from 0 on: download them again.")
    return ordered


def _found(
    rows: Any, part: str, files: Mapping[str, Path], classes: Mapping[str, int]
) -> tuple[tuple[Video, ...], tuple[str, ...]]:
    """Part listed videos into those that have a file and the ids of the others."""
    videos, missing = [], []
    if not isinstance(rows, list):
        raise InputError(f"The {part} list of Something-Something v2 is no list: download it again.")
    for row in rows:
        try:
            id_, template = below(str(row["id"]), part), str(row["template"])
        except (TypeError, KeyError, InputError) as error:
            raise InputError(
                f"The {part} list of Something-Something v2 has an entry without id and template, "
                f"{str(row)[:200]}: download it again."
            ) from error
        label = template.replace("[", "").replace("]", "")
        if label not in classes:
            raise InputError(
                f"The {part} list of Something-Something v2 has the template '{template[:200]}', which its "
                "labels lack: are they of one version?"
            )
        file = files.get(id_)
        if file is None:
            missing.append(id_)
        else:
            videos.append(Video(id_, file, classes[label], group=id_))
    return tuple(videos), tuple(missing)


register(Dataset("ssv2", read_ssv2, recipe={"clips": {"flip": False}}, groups=False))
