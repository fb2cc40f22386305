"""Real processes are killed or asked to stop at any time; the same command then comes to the same end."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from chaos.process import Process
from chaos.report import Report
from chaos.subject import Videos, difference, results, stages
from chaos.trials import Trials

pytestmark = pytest.mark.chaos

KILLS = 40
SIGNALS = (
    *[signal.SIGKILL] * 5, signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL,
)  # fmt: skip
TO_LEAVE = 30
"""Seconds that a process asked to stop may still take."""
STEPS = {"steps": 60, "validate_every": 15}
PARTS = {
    "rendering": (0.0, 1.0),
    "flow": (0.0, 1.0),
    "features": (0.0, 1.0),
    "training": (0.0, 0.8),
    "test": (0.7, 1.0),
    "grid": (0.0, 1.0),
}
"""Where between its first file and its end a command is killed."""

Case = tuple[str, float, int]


def test_kills_at_any_time(report: Report, trials: Trials, videos: Videos) -> None:
    argvs = stages(videos, **STEPS)
    argvs["test"] = argvs["training"]
    rng = random.Random(0)
    cases: dict[str, Case] = {}
    for number in range(KILLS):
        part = list(PARTS)[number % len(PARTS)]
        how = SIGNALS[number % len(SIGNALS)]
        cases[f"kill-{number}-{part}-{how.name}"] = (part, rng.uniform(*PARTS[part]), how)

    undisturbed: dict[str, tuple[float, dict]] = {}
    with report.row("A process is killed or asked to stop (KILL, TERM, INT, USR1) at any time", 9) as row:
        for part in dict.fromkeys(part for part, _, _ in trials.chosen(cases).values()):
            with trials.place(f"{part} undisturbed") as place:
                process = Process(argvs[part], place)
                process.wait_until(lambda place=place: begun(place))
                began = time.monotonic()
                whole = process.end()
                assert whole.code == 0, f"{part}: {whole.stderr[-2000:]}"
                undisturbed[part] = time.monotonic() - began, results(place)

        def act(case: Case, place: Path) -> str | None:
            part, share, number = case
            seconds, expected = undisturbed[part]
            process = Process(argvs[part], place)
            process.wait_until(lambda: begun(place))
            time.sleep(share * seconds)
            process.send(number)
            ended = process.end(TO_LEAVE)
            if not ended.in_time:
                return f"it goes on for {TO_LEAVE} s after the signal"
            if ended.traceback:
                return f"a traceback: {ended.tail}"
            if number != signal.SIGKILL and ended.code < 0:
                return f"it died of the signal without a word: {ended.tail}"
            again = Process(argvs[part], place).end()
            if again.code != 0 or again.traceback:
                return f"the same command again ended in {again.code}: {again.tail}"
            return difference(expected, results(place))

        trials.each(row, trials.chosen(cases), act)


def begun(place: Path) -> bool:
    """Say whether a command has made its first file or folder."""
    return any(not entry.name.startswith(".") for entry in place.iterdir())
