"""A disk that fails: every change that a small run makes to it fails in turn, or the process dies there."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from chaos.faults import KINDS
from chaos.report import Report
from chaos.subject import Videos, difference, results, stages
from chaos.trials import Trials
from chaos.warm import Ended

pytestmark = pytest.mark.chaos

ERRORS, DEATHS = KINDS[:3], KINDS[3:]
POINTS = {"features": 70, "training": 90, "grid": 20, "flow": 30, "rendering": 8}
"""At most so many points of each stage, spread over all: fewer where a run takes seconds."""

Case = tuple[str, int, str]


def test_every_change_to_the_disk(report: Report, trials: Trials, videos: Videos) -> None:
    argvs = stages(videos)
    cases: dict[str, Case] = {}
    expected = {}
    for stage, argv in argvs.items():
        with trials.place(f"{stage} undisturbed") as place, trials.warm() as warm:
            whole = warm.run(argv, place, disk=(place, 0, "full"))
            assert whole.code == 0, f"{stage}: {whole.stderr[-2000:]}"
            expected[stage] = results(place)
        every = range(1, len(whole.log) + 1)
        points = random.Random(0).sample(every, min(POINTS[stage], len(every)))
        for number, point in enumerate(sorted(points)):
            for kind in (ERRORS[number % len(ERRORS)], DEATHS[number % len(DEATHS)]):
                cases[f"{stage}-{point}-{kind.replace(' ', '-')}"] = (stage, point, kind)

    def act(case: Case, place: Path) -> str | None:
        stage, point, kind = case
        with trials.warm() as warm:
            disturbed = warm.run(argvs[stage], place, disk=(place, point, kind), seconds=90)
            wrong = check_end(disturbed, kind, partial(difference, expected[stage]), place)
            if wrong:
                return wrong
            again = warm.run(argvs[stage], place, seconds=90)
        if again.code != 0 or again.traceback:
            return f"the same command again ended in {again.code}: {again.tail}"
        return difference(expected[stage], results(place))

    with report.row(
        "A write, fsync, rename, link, unlink or mkdir fails, or the process dies there", 12
    ) as row:
        trials.each(row, trials.chosen(cases), act)


def check_end(ended: Ended, kind: str, differs, place: Path) -> str | None:
    """Say what is wrong with how a disturbed command ended."""
    if not ended.in_time:
        return "it hangs"
    if kind in DEATHS and ended.code == -9:
        return None
    if ended.code == 0:  # what failed was not needed
        wrong = differs(results(place))
        return wrong and f"it ended well, but {wrong}"
    if kind == "broken":
        return None
    if ended.traceback:
        return f"a traceback: {ended.tail}"
    if ended.code != 2 or not ended.sentence:
        return f"no sentence, status {ended.code}: {ended.tail}"
    return None
