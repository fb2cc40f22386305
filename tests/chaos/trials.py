"""Many trials, two at a time."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from chaos.report import Row
from chaos.warm import Warm

LANES = 2
"""Trials at a time: one a core."""

T = TypeVar("T")


class Trials:
    """Does trials, each in a folder of its own that is kept only where one case was asked for.

    Args:
        ground: Where their folders are made.
        share: Share of the trials to do.
        case: Do only those whose name contains this.
    """

    def __init__(self, ground: Path, share: float, case: str) -> None:
        self.ground, self.share, self.case = ground, share, case
        self._warm: queue.SimpleQueue[Warm] = queue.SimpleQueue()
        self._made: list[Warm] = []

    def of(self, count: int) -> int:
        """The share of a number of trials, at least one."""
        return max(1, round(count * self.share))

    def chosen(self, cases: Mapping[str, T]) -> dict[str, T]:
        """The cases to do: all of the name asked for, or else a share, spread evenly."""
        names = [name for name in cases if self.case in name]
        if not self.case and self.share < 1:
            wanted = self.of(len(names))
            names = [names[round(i * len(names) / wanted)] for i in range(wanted)]
        return {name: cases[name] for name in names}

    def each(
        self, row: Row, cases: Mapping[str, T], act: Callable[[T, Path], str | None], lanes: int = LANES
    ) -> None:
        """Do every case that was chosen: `act` gets it with a folder, and says what was wrong or None."""

        def one(item: tuple[str, T]) -> None:
            name, what = item
            with self.place(name) as place:
                row.count(name, act(what, place))

        with ThreadPoolExecutor(lanes) as pool:
            for _ in pool.map(one, cases.items()):
                pass

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """A folder for one trial."""
        place = self.ground / name.replace("/", "-").replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        yield place
        if self.case:
            print(f"{name}: files are kept in {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def warm(self) -> Iterator[Warm]:
        """A process that forks, of which there is one a lane."""
        try:
            warm = self._warm.get_nowait()
        except queue.Empty:
            warm = Warm()
            self._made.append(warm)
        yield warm
        self._warm.put(warm)

    def close(self) -> None:
        for warm in self._made:
            warm.close()
