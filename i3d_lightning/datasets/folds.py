"""Training videos held out, for validation or in place of the test videos, always by whole groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from i3d_lightning.datasets.split import HELD_OUT, DatasetSplit, Video
from i3d_lightning.errors import InputError

_SEED = 0
"""Which groups stand in for the test videos: the same ones for all that is compared."""


def without_test(split: DatasetSplit, share: float) -> DatasetSplit:
    """Put held-out groups of the training videos in the place of the test videos, to choose settings on.

    Args:
        split: The official one.
        share: About how much of the training videos is held out.

    Raises:
        InputError: There are too few groups to hold out one.
    """
    train, held_out = hold_out(split.train, share, _SEED)
    if not held_out:
        raise InputError(
            f"{split.name}, split {split.split}, has too few groups of training videos to hold out "
            f"{share:g} of them: hold out more."
        )
    contents = {video.content for video in train} - {""}  # what is nearly the same is known of tests alone
    test = tuple(replace(video, leaked=video.content in contents) for video in held_out)
    return replace(split, train=train, test=test, missing_test=(), tested_on=HELD_OUT, near_duplicates=False)


def hold_out(
    videos: Sequence[Video], fraction: float, seed: int
) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    """Part videos into those to train on and about `fraction` of them to validate on.

    Class by class, groups are held out as soon as that brings their share closer to `fraction`;
    what a class is short of or has too much carries over to the next. Every class keeps training
    videos.
    """
    remaining = Counter(video.label for video in videos)
    held_out: set[int] = set()
    owed = 0.0
    for group in _groups_by_class(videos, seed):
        owed += fraction * len(group)
        labels = Counter(videos[i].label for i in group)
        if owed >= len(group) / 2 and all(remaining[label] > taken for label, taken in labels.items()):
            owed -= len(group)
            remaining -= labels
            held_out.update(group)
    return (
        tuple(video for i, video in enumerate(videos) if i not in held_out),
        tuple(video for i, video in enumerate(videos) if i in held_out),
    )


def group_folds(videos: Sequence[Video], folds: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Deal videos into folds for cross-validation, by whole groups and evenly over classes.

    Args:
        videos: Videos to deal out.
        folds: Number of folds; there are fewer where there are fewer groups.
        seed: Decides which groups come together.

    Returns:
        For each fold the indices to train on and those to validate on.

    Raises:
        InputError: All videos are of one group.
    """
    groups = _groups_by_class(videos, seed)
    if len(groups) < 2:
        raise InputError("Cross-validation needs training videos of at least two groups: add another source.")
    parts: list[list[int]] = [[] for _ in range(min(folds, len(groups)))]
    counts = [Counter[int]() for _ in parts]
    for group in groups:
        labels = Counter(videos[i].label for i in group)
        fewest = min(
            range(len(parts)),
            key=lambda p: (sum(counts[p][label] * taken for label, taken in labels.items()), len(parts[p])),
        )
        parts[fewest] += group
        counts[fewest] += labels
    return [
        (sorted(i for other in parts if other is not part for i in other), sorted(part)) for part in parts
    ]


def _groups_by_class(videos: Sequence[Video], seed: int) -> list[list[int]]:
    """List the groups' videos in random order, those of one class (a group's most frequent) together."""
    groups: dict[str, list[int]] = {}
    for i, video in enumerate(videos):
        groups.setdefault(video.group, []).append(i)
    random = np.random.default_rng(seed)
    shuffled = [groups[name] for name in random.permutation(sorted(groups))]
    classes = random.permutation(sorted({video.label for video in videos}))
    rank = {int(label): place for place, label in enumerate(classes)}
    return sorted(shuffled, key=lambda group: rank[_most_common(videos[i].label for i in group)])


def _most_common(labels: Iterable[int]) -> int:
    return Counter(labels).most_common(1)[0][0]
