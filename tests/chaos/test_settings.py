"""Every wrong command line is one sentence and exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.report import Report
from chaos.trials import Trials
from wrong_settings import WRONG, filled, prepare

pytestmark = pytest.mark.chaos


def test_wrong_settings(report: Report, trials: Trials, tiny_ucf: Path) -> None:
    cases = {f"settings-{number}-{name}": argv for number, (name, argv) in enumerate(WRONG)}

    def act(argv: list[str], place: Path) -> str | None:
        prepare(place)
        with trials.warm() as warm:
            ended = warm.run(filled(argv, place, tiny_ucf), place, seconds=30)
        if not ended.in_time:
            return "it is not refused within 30 s"
        if ended.traceback:
            return f"a traceback: {ended.tail}"
        if ended.code != 2:
            return f"status {ended.code}: {ended.tail}"
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        return None if len(errors) == 1 else f"{len(errors)} sentences instead of one: {ended.tail}"

    with report.row("Wrong settings, on every way in", 4) as row:
        trials.each(row, trials.chosen(cases), act)
