"""What one experiment says of every test video: the only thing that results are computed from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i3d_lightning.errors import InputError
from i3d_lightning.files import write_atomically


@dataclass(frozen=True)
class Predictions:
    """What one experiment says of every test video.

    Attributes:
        ids: Video ids, shape (n,).
        labels: True classes, shape (n,).
        logits: float32, shape (n, k), averaged over time before softmax, over the official class
            list; NaN for a video that could not be read, which counts as wrong.
        groups: Of each video the group that shares its source, n of them: what statistics resample. A video
            of which no source is known is a group of its own.
        leaked: bool, whether a video is trained on too, by its content, shape (n,).

    Raises:
        InputError: There are no videos, one is there twice or has no such label or no group, or logits are
            not finite.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    groups: tuple[str, ...]
    leaked: np.ndarray

    def __post_init__(self) -> None:
        labels, logits = self.labels, self.logits
        shaped = logits.ndim == 2 and labels.shape == (len(self.ids),) == logits.shape[:1]
        typed = np.issubdtype(labels.dtype, np.integer) and np.issubdtype(logits.dtype, np.floating)
        if not (shaped and typed and logits.size):
            raise InputError(
                f"Predictions of {len(self.ids)} videos have labels {labels.dtype} {labels.shape} and logits "
                f"{logits.dtype} {logits.shape}: each needs a row of logits and the number of a class."
            )
        if len(self.groups) != len(self.ids) or not all(self.groups):
            raise InputError(f"Of {len(self.ids)} videos not each has a group: one alone is its own.")
        if self.leaked.dtype != bool or self.leaked.shape != labels.shape:
            raise InputError(
                f"Which of {len(self.ids)} videos leaked is told as {self.leaked.dtype} {self.leaked.shape}, "
                "but must be yes or no for each."
            )
        if len(set(self.ids)) < len(self.ids):
            twice = next(video for number, video in enumerate(self.ids) if video in self.ids[:number])
            raise InputError(f"Video {twice} was predicted twice: each counts once.")
        wrong = (labels < 0) | (labels >= logits.shape[1])
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"Video {self.ids[row]} is of class {labels[row]}, but there are {logits.shape[1]} classes."
            )
        odd = ~np.isfinite(logits).all(axis=1) & ~np.isnan(logits).all(axis=1)
        if odd.any():
            raise InputError(
                f"The logits of video {self.ids[int(odd.argmax())]} are not finite, nor those of "
                f"{int(odd.sum()) - 1} others: the network has diverged, or its weights are damaged."
            )

    @property
    def readable(self) -> np.ndarray:
        """Whether a video could be read, shape (n,)."""
        return ~np.isnan(self.logits[:, 0])

    def correct(self, k: int = 1) -> np.ndarray:
        """Say whether the true class is among the k best, shape (n,); never for an unreadable video.

        Ties count against it: a network that finds all classes equally likely is never right.
        """
        own = np.take_along_axis(self.logits, self.labels[:, None], axis=1)
        others_as_good = (self.logits >= own).sum(axis=1) - 1
        return self.readable & (others_as_good < k)

    def answers(self) -> np.ndarray:
        """Give the best class of each video, shape (n,), and -1 for an unreadable one.

        Of several that tie it is a wrong one, as they count against.
        """
        others = self.logits.copy()
        np.put_along_axis(others, self.labels[:, None], -np.inf, axis=1)
        best = np.where(self.correct(), self.labels, others.argmax(axis=1))
        return np.where(self.readable, best, -1)

    def accuracy(self, k: int = 1) -> float:
        """Compute the share of videos whose true class is among the k best, in percent.

        NaN where k classes or fewer are tested on, for k above 1: a network that has learned which are there
        is right whatever it says.
        """
        if k > 1 and len(np.unique(self.labels)) <= k:
            return float("nan")
        return 100.0 * float(self.correct(k).mean())

    def as_json(self) -> dict[str, float | None]:
        """Give `top1` and `top5` in percent as JSON has them: None where it says nothing."""
        found = {f"top{k}": self.accuracy(k) for k in (1, 5)}
        return {name: None if np.isnan(value) else value for name, value in found.items()}

    def ordered(self, ids: tuple[str, ...]) -> Predictions:
        """Give the same predictions with their videos in another order."""
        where = {video: row for row, video in enumerate(self.ids)}
        return self._rows([where[video] for video in ids])

    def without_leaks(self, leaked: Collection[str] = ()) -> Predictions:
        """Leave out the videos that are trained on too.

        Args:
            leaked: Ids of more of them, as other runs know.

        Raises:
            InputError: None would be left.
        """
        gone = set(leaked)
        kept = [n for n, id_ in enumerate(self.ids) if not self.leaked[n] and id_ not in gone]
        if not kept:
            raise InputError(f"All {len(self.ids)} test videos leaked: there is nothing left to test on.")
        return self if len(kept) == len(self.ids) else self._rows(kept)

    def _rows(self, rows: Sequence[int]) -> Predictions:
        ids, groups = (tuple(names[row] for row in rows) for names in (self.ids, self.groups))
        where = np.array(rows)
        return Predictions(ids, self.labels[where], self.logits[where], groups, self.leaked[where])

    def save(self, path: Path) -> None:
        """Write them to a file, whole or not at all."""
        write_atomically(
            path,
            lambda file: np.savez_compressed(
                file,
                ids=np.array(self.ids),
                labels=self.labels,
                logits=self.logits.astype(np.float32),
                groups=np.array(self.groups),
                leaked=self.leaked,
            ),
        )

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read them from a file.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                ids, groups = (tuple(stored[name].tolist()) for name in ("ids", "groups"))
                return cls(ids, stored["labels"], stored["logits"], groups, stored["leaked"])
        except Exception as error:  # whatever a damaged archive makes of zipfile, zlib and NumPy
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path} is missing or damaged ({why}): run the experiment again.") from error


def fuse(first: Predictions, second: Predictions) -> Predictions:
    """Average two streams' logits, video by video.

    Raises:
        InputError: A video is missing on one side, or has another label or group there.
    """
    alone = set(first.ids) ^ set(second.ids)
    if alone:
        raise InputError(
            f"Cannot fuse: {len(alone)} videos were predicted by one stream only, such as {min(alone)}."
        )
    second = second.ordered(first.ids)
    if not np.array_equal(first.labels, second.labels):
        raise InputError("Cannot fuse: the two streams were scored against different labels.")
    if first.groups != second.groups:
        raise InputError("Cannot fuse: the two streams were scored with different groups of videos.")
    logits = first.logits / 2 + second.logits / 2  # finite where both are
    return replace(first, logits=logits, leaked=first.leaked | second.leaked)


def aligned(one: Predictions, other: Predictions) -> Predictions:
    """Give `other` with its videos in the order of `one`.

    Raises:
        InputError: They are of different videos, or say something else of one.
    """
    alone = set(one.ids) ^ set(other.ids)
    if alone:
        raise InputError(
            f"These predictions cannot be compared: {len(alone)} videos are in one of them only, "
            f"such as {min(alone)}."
        )
    ordered = other if one.ids == other.ids else other.ordered(one.ids)
    if not np.array_equal(one.labels, ordered.labels):
        raise InputError("These predictions cannot be compared: they were scored against different labels.")
    if one.groups != ordered.groups:
        raise InputError("These predictions cannot be compared: their videos are grouped differently.")
    return ordered
