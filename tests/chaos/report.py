"""What was tried, what held and what did not: one table of it all."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One kind of trial.

    Attributes:
        name: What was tried, in words.
        budget: Minutes that it may take on two cores.
        held: How many trials held.
        failures: Case -> what was wrong with it.
        skipped: Why nothing was tried.
        seconds: How long all took.
        ended: Whether the trials came to their end.
    """

    name: str
    budget: float
    held: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    skipped: str = ""
    seconds: float = 0.0
    ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, case: str, wrong: str | None) -> None:
        """Count a trial; `wrong` says what did not hold, None that all did."""
        with self._lock:
            if wrong:
                self.failures[case] = wrong
            else:
                self.held += 1

    @property
    def tried(self) -> int:
        return self.held + len(self.failures)

    @property
    def complete(self) -> bool:
        return bool(self.skipped) or (self.ended and self.tried > 0)


class Report:
    """The rows of all parts."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    @contextmanager
    def row(self, name: str, budget: float) -> Iterator[Row]:
        """A row to count trials in; at its end any that did not hold is an error.

        Raises:
            AssertionError: Some did not hold; the first of them are named.
        """
        row = Row(name, budget)
        self.rows.append(row)
        began = time.monotonic()
        try:
            yield row
            row.ended = True
        finally:
            row.seconds = time.monotonic() - began
        shown = "".join(f"\n  {case}: {wrong}" for case, wrong in list(row.failures.items())[:10])
        assert not row.failures, f"{len(row.failures)} of {row.tried} did not hold: {name}{shown}"

    def lines(self) -> Iterator[str]:
        """The table as Markdown."""
        yield "| what was tried | tried | held | not | minutes |"
        yield "|---|--:|--:|--:|--:|"
        for row in self.rows:
            note = f" (skipped: {row.skipped})" if row.skipped else "" if row.complete else " (broke off)"
            yield (
                f"| {row.name}{note} | {row.tried:,} | {row.held:,} | {len(row.failures):,} "
                f"| {row.seconds / 60:.1f} |"
            )
        held, failed = sum(r.held for r in self.rows), sum(len(r.failures) for r in self.rows)
        minutes = sum(r.seconds for r in self.rows) / 60
        yield f"| **all** | {held + failed:,} | {held:,} | {failed:,} | {minutes:.1f} |"

    def failures(self) -> Iterator[str]:
        """Each case that did not hold, and why."""
        for row in self.rows:
            for case, wrong in row.failures.items():
                yield f"{case}: {wrong}"

    def write(self, path: Path, shares: Iterable[float]) -> None:
        """Write the table for the documents, with the commit that it was made at."""
        (share,) = shares
        text = "\n".join(self.lines())
        less = "" if share == 1 else f", {share:.0%} of the trials"
        path.write_text(
            "# Chaos\n\n"
            "What `make chaos` tried on purpose, and what held. A trial holds if nothing is silently wrong:\n"
            "the command says in one sentence why it stops, and the same command then ends with the very\n"
            "numbers of an undisturbed run. [What happens when](what-happens-when.md) says it in words.\n\n"
            f"Made at {_commit()}{less}.\n\n{text}\n"
        )


def _commit() -> str:
    shown = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"`{shown.stdout.strip()}`" if shown.stdout.strip() else "an unknown commit"
