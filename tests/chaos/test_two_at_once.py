"""Two processes on one folder: one does the work, and the other waits or is refused."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chaos.report import Report
from chaos.subject import Videos, difference, experiment, grid, results
from chaos.trials import Trials
from chaos.warm import Ended

pytestmark = pytest.mark.chaos

OFFSETS = (0.0, 0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0)
"""Seconds between the two starts."""
LONG = {"steps": 120, "validate_every": 30}
"""Some seconds of training."""


def test_two_at_once(report: Report, trials: Trials, videos: Videos) -> None:
    commands = {
        "training": [experiment(videos, "origin", **LONG)] * 2,
        "features": [experiment(videos, "fixed")] * 2,
        "other rate": [experiment(videos, "origin", learning_rate=rate, **LONG) for rate in (0.01, 0.02)],
        "other flow rate": [
            experiment(videos, "origin", "flow", learning_rate=rate, **LONG) for rate in (0.01, 0.02)
        ],
        "grid": [grid(videos, **LONG)] * 2,
    }
    cases = {
        f"two-{name.replace(' ', '-')}-{number}-{offset}": (name, offset)
        for name in commands
        for number, offset in enumerate(OFFSETS)
    }
    expected: dict[tuple[str, int], dict] = {}

    def act(case: tuple[str, float], place: Path) -> str | None:
        name, offset = case
        first, second = commands[name]
        ended = at_once(trials, [first, second], place, offset)
        if wrong := next((f"a traceback: {e.tail}" for e in ended if e.traceback), None):
            return wrong
        codes = [e.code for e in ended]
        trained = sum(e.stderr.count("Running small-") + e.stderr.count("Resuming small-") for e in ended)
        if first == second:
            cells = 3 if name == "grid" else 1
            if codes != [0, 0]:
                return f"ended in {codes}: {ended[codes[0] == 0].tail}"
            if trained != cells:
                return f"{trained} trainings for {cells} runs"
            return difference(expected[name, 0], results(place))
        if sorted(codes) != [0, 2]:
            return f"ended in {codes} instead of one well and one refused: {ended[0].tail} | {ended[1].tail}"
        done = codes.index(0)
        if "learning_rate" not in ended[1 - done].sentence:
            return f"the refusal does not name what differs: {ended[1 - done].tail}"
        return difference(expected[name, done], results(place))

    with report.row("Two processes on one folder at once, of equal and of other settings", 6) as row:
        prepare(trials, commands, expected, cases)
        trials.each(row, trials.chosen(cases), act, lanes=1)


def prepare(trials: Trials, commands: dict, expected: dict, cases: dict) -> None:
    """Run every command undisturbed."""
    for name in dict.fromkeys(name for name, _ in trials.chosen(cases).values()):
        for number, argv in enumerate(commands[name]):
            if number and argv == commands[name][0]:
                continue
            with trials.place(f"{name} {number} undisturbed") as place, trials.warm() as warm:
                whole = warm.run(argv, place)
                assert whole.code == 0, f"{name}: {whole.stderr[-2000:]}"
                expected[name, number] = results(place)


def at_once(trials: Trials, argvs: list[list[str]], place: Path, offset: float) -> list[Ended]:
    """Run command lines in one folder, each so many seconds after the one before."""

    def run(number: int) -> Ended:
        said = place / f".said-{number}"
        said.mkdir()
        with trials.warm() as warm:
            time.sleep(number * offset)
            return warm.run(argvs[number], place, said=said, seconds=180)

    with ThreadPoolExecutor(len(argvs)) as pool:
        return list(pool.map(run, range(len(argvs))))
