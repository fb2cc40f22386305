"""What a conclusion is judged by: numbers with their uncertainty, be they ours or the paper's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from i3d_lightning.results.scores import Cell


class Difference(Protocol):
    """How much better one cell is than another, and how sure that is.

    Attributes:
        difference: In percentage points.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        p: Two-sided, of no difference.
        videos: Number of test videos.
        groups: Number of groups that they come from; None where each video counts as its own.
    """

    @property
    def difference(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def p(self) -> float: ...
    @property
    def videos(self) -> int: ...
    @property
    def groups(self) -> int | None: ...


class Numbers(Protocol):
    """Our own scores (`scores.Index`) or the paper's (`published.PaperNumbers`)."""

    def cell(self, architecture: str, stream: str, pretraining: str, protocol: str, dataset: str) -> Cell:
        """Name a cell, on the data set that takes the place of one of the paper's."""
        ...

    def top1(self, cell: Cell, beside: Iterable[Cell] = ()) -> float | None:
        """Give top-1 in percent, of splits that `beside` have too; None where there is none."""
        ...

    def draws(self, cell: Cell, beside: Iterable[Cell] = ()) -> np.ndarray | None:
        """Give replicates of top-1; those of cells on one data set belong together, one by one."""
        ...

    def compare(self, one: Cell, other: Cell) -> Difference | None:
        """Say how much better `other` is than `one`, None where one of them is missing."""
        ...
