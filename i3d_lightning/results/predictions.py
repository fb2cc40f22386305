"""What one experiment says of every test video: the only thing that results are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

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
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray

    def correct(self, k: int = 1) -> np.ndarray:
        """Say whether the true class is among the k best, shape (n,); never for an unreadable video."""
        readable = ~np.isnan(self.logits).any(axis=1)
        own = np.take_along_axis(self.logits, self.labels[:, None], axis=1)
        rank = (self.logits > own).sum(axis=1)
        return readable & (rank < k)

    def accuracy(self, k: int = 1) -> float:
        """Compute the share of videos whose true class is among the k best, in percent."""
        return 100.0 * float(self.correct(k).mean())

    def ordered(self, ids: tuple[str, ...]) -> Predictions:
        """Give the same predictions with their videos in another order."""
        where = {video: row for row, video in enumerate(self.ids)}
        order = [where[video] for video in ids]
        return Predictions(ids, self.labels[order], self.logits[order])

    def save(self, path: Path) -> None:
        """Write them to a file, whole or not at all."""
        write_atomically(
            path,
            lambda file: np.savez_compressed(
                file, ids=np.array(self.ids), labels=self.labels, logits=self.logits.astype(np.float32)
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
                return cls(tuple(stored["ids"].tolist()), stored["labels"], stored["logits"])
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise InputError(f"{path} is missing or damaged: run the experiment again.") from error


def fuse(first: Predictions, second: Predictions) -> Predictions:
    """Average two streams' logits, video by video.

    Raises:
        InputError: A video is missing on one side, or has another label there.
    """
    alone = set(first.ids) ^ set(second.ids)
    if alone:
        raise InputError(
            f"Cannot fuse: {len(alone)} videos were predicted by one stream only, such as {min(alone)}."
        )
    second = second.ordered(first.ids)
    if not np.array_equal(first.labels, second.labels):
        raise InputError("Cannot fuse: the two streams were scored against different labels.")
    return replace(first, logits=(first.logits + second.logits) / 2)
