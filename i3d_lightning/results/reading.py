"""How the videos of a run could be read: which not at all, and which only in part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from i3d_lightning.errors import InputError
from i3d_lightning.results.runs import Run

PARTS = {"train": "training", "test": "test"}
"""The parts of a data set, as results name them -> in words."""

KINDS = {"unreadable": "unreadable", "partly": "partly read"}
"""What may be the matter with a video -> in words."""

Told = Mapping[str, Mapping[str, str]]
"""Of each part the ids of videos, and what is to be said of each."""


@dataclass(frozen=True)
class Reading:
    """The videos of a run that were not read as they should be; no video is in both.

    Attributes:
        unreadable: Those left out of training or counted as wrong at test, and why.
        partly: Those of which there was less than there should be, and how much: "28 of 139 frames".
    """

    unreadable: Told = field(default_factory=dict)
    partly: Told = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Reading:
        """Take it from a run's result; of what an earlier version did not write, nothing is known."""
        return cls(metrics.get("unreadable") or {}, metrics.get("partly_read") or {})

    def __bool__(self) -> bool:
        return any(videos for told in (self.unreadable, self.partly) for videos in told.values())

    def both(self, other: Reading) -> Reading:
        """Give what is true of two streams together: of each video the worse."""
        unreadable = _union(self.unreadable, other.unreadable)
        return Reading(unreadable, without(_union(self.partly, other.partly), unreadable))

    def counts(self, kind: str) -> dict[str, int]:
        """Count the videos of each part that are `unreadable`, or read only `partly`."""
        return {part: len(getattr(self, kind).get(part, ())) for part in PARTS}

    def in_words(self) -> str:
        """Write the counts to follow a number, nothing where there are none."""
        counts = {title: self.counts(kind) for kind, title in KINDS.items()}
        told = [f"{title}: {in_words(**parts)}" for title, parts in counts.items() if any(parts.values())]
        return f" ({'; '.join(told)})" if told else ""

    def differently(self, other: Reading) -> dict[str, tuple[str, str]]:
        """Name the test videos that two runs did not read alike, and how much each of them read."""
        ours, theirs = self._tested(), other._tested()
        return {
            video: (ours.get(video, "all of it"), theirs.get(video, "all of it"))
            for video in sorted(ours.keys() | theirs.keys())
            if ours.get(video) != theirs.get(video)
        }

    def _tested(self) -> dict[str, str]:
        unreadable = dict.fromkeys(self.unreadable.get("test", ()), "nothing")
        return {**self.partly.get("test", {}), **unreadable}


def _union(one: Told, other: Told) -> dict[str, dict[str, str]]:
    return {part: {**other.get(part, {}), **one.get(part, {})} for part in PARTS}


def without(told: Told, gone: Told) -> dict[str, dict[str, str]]:
    """Leave out of each part the videos that are named elsewhere."""
    return {
        part: {video: words for video, words in videos.items() if video not in gone.get(part, ())}
        for part, videos in told.items()
    }


def in_words(train: int, test: int) -> str:
    """Write how many videos of each part, as tables do."""
    return f"{train} train, {test} test"


def check_share(most: float) -> None:
    """Refuse what is no share of videos.

    Raises:
        InputError: It is not from 0 to 1.
    """
    if not 0 <= most <= 1:
        raise InputError(f"max_unreadable is {most}, but must be a share from 0 to 1, such as 0.05 for 5 %.")


def too_many_unreadable(runs: Iterable[Run], most: float) -> str | None:
    """Say in one sentence where more than this share of the training or the test videos is unreadable."""
    found = [sentence for run in runs for sentence in _too_many(run, most)]
    if not found:
        return None
    (lost, remedy), *others = found
    more = f" (likewise in {len(others)} more)" if others else ""
    return f"{lost}, where --max_unreadable allows {100 * most:g} %{more}: {remedy}"


def _too_many(run: Run, most: float) -> Iterator[tuple[str, str]]:
    """Each part of which too much is unreadable: what is lost, and what to do."""
    totals = {"train": run.metrics.get("train_videos"), "test": run.metrics["videos"]}
    for part, lost in Reading.of(run.metrics).unreadable.items():
        total = totals[part]
        if total and len(lost) / total > most:  # an earlier version did not count training videos
            video, why = next(iter(lost.items()))
            yield (
                f"{len(lost)} of the {total} {PARTS[part]} videos of {run.experiment.name} "
                f"({100 * len(lost) / total:.1f} %) could not be read",
                f"mend them and run it again with another --name, or allow more; the first is {video}: {why}",
            )
