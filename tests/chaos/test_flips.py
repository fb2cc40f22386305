"""A bit flips in something stored: the same numbers as before, or a word; never another number."""

from __future__ import annotations

import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chaos.report import Report
from chaos.subject import IMPORT, Videos, copy, difference, experiment, grid, results
from chaos.trials import Trials
from chaos.warm import Ended

pytestmark = pytest.mark.chaos

FLIPS = 40
"""Of each kind of file."""
_SAYS = re.compile(r"[Ll]eft out|damaged|missing|does not|is not")
RUN = "runs/small-target-1"


@dataclass(frozen=True)
class Stored:
    """A kind of file, and what reads it.

    Attributes:
        pattern: Where such files are in a folder of finished work.
        state: Which folder of finished work they are flipped in.
        without: What is deleted, so that the command reads the file.
    """

    pattern: str
    state: str
    without: tuple[str, ...] = ()


KINDS = {
    "result": Stored("runs/**/result.json", "grid"),
    "predictions": Stored("runs/**/predictions.npz", "grid"),
    "fingerprint": Stored("runs/**/fingerprint.json", "grid"),
    "configuration": Stored("runs/**/config.yaml", "grid"),
    "weights": Stored("runs/small-kinetics*/**/weights.safetensors", "grid", (f"{RUN}/small-rgb/kinetics",)),
    "checkpoint": Stored("runs/**/*.ckpt", "stopped"),
    "features": Stored("cache/features/**/*", "grid", (f"{RUN}/small-rgb/kinetics",)),
    "flow": Stored("cache/flow/**/*", "flow", ("runs",)),
    "manifest": Stored("cache/manifests/*.parquet", "grid", (f"{RUN}/small-rgb/kinetics",)),
}


def test_bits_flip_in_what_is_stored(report: Report, trials: Trials, videos: Videos) -> None:
    argvs = {"grid": grid(videos), "flow": experiment(videos, "origin", "flow")}
    argvs["stopped"] = experiment(videos, "origin")
    states = {name: trials.ground / f"flips-{name}" for name in argvs}
    expected, table = {}, {}
    with report.row(
        "A bit flips in results, predictions, weights, checkpoints, features, flow, manifests", 6
    ) as row:
        for name, argv in argvs.items():
            with trials.warm() as warm, trials.place(f"{name} undisturbed") as place:
                whole = warm.run(argv, place, disk=(place, 0, "full"))
                assert whole.code == 0, f"{name}: {whole.stderr[-2000:]}"
                expected[name] = results(place)
                table[name] = rows(warm.run(show(), place))
                if name != "stopped":
                    states[name].mkdir()
                    copy(place, states[name])
                    continue
            states[name].mkdir()  # killed as it stores its predictions, all training done
            point = next(n for n, line in enumerate(whole.log, 1) if "predictions.npz" in line)
            with trials.warm() as warm:
                warm.run(argv, states[name], disk=(states[name], point, "kill before"))
            assert list(states[name].rglob("*.ckpt"))
        cases = {f"flip-{kind}-{number}": (kind, number) for kind in KINDS for number in range(FLIPS)}

        def act(case: tuple[str, int], place: Path) -> str | None:
            kind, number = case
            stored = KINDS[kind]
            name = stored.state
            copy(states[name], place)
            what = flip(place, stored.pattern, random.Random(f"{kind} {number}"))
            with trials.warm() as warm:
                shown = warm.run(show(), place)
                for path in stored.without:
                    shutil.rmtree(place / path)
                again = warm.run(argvs[name], place)
            for ended in (shown, again):
                if not ended.in_time:
                    return f"{what}: it hangs"
                if ended.traceback:
                    return f"{what}: a traceback: {ended.tail}"
            if wrong := other_numbers(shown, table[name]):
                return f"{what}: {wrong}"
            if again.code == 0:
                wrong = unnamed(expected[name], results(place), again.stderr)
                return wrong and f"{what}: it ended well, but {wrong}"
            if again.code != 2 or not again.sentence:
                return f"{what}: no sentence, status {again.code}: {again.tail}"
            return None

        trials.each(row, trials.chosen(cases), act)


def show() -> list[str]:
    """The command line that prints the table of all runs."""
    return [IMPORT, "table", "--json"]


def rows(ended: Ended) -> set[str]:
    """What a table says, row by row."""
    return {
        json.dumps(json.loads(line), sort_keys=True) for line in ended.stdout.splitlines() if line[:1] == "{"
    }


def other_numbers(ended: Ended, known: set[str]) -> str | None:
    """Say which row of a table is none of those known; whatever is not shown must be spoken of."""
    if other := rows(ended) - known:
        return f"the table has another row: {min(other)[:200]}"
    if rows(ended) != known and not ended.stderr.strip():
        return "a row is left out of the table without a word"
    return None


def unnamed(expected: dict[str, Any], found: dict[str, Any], said: str) -> str | None:
    """Say where results differ, but for runs that were named as they were left out."""
    named = {
        run
        for run in {*expected, *found}
        if any(run in line and _SAYS.search(line) for line in said.splitlines())
    }
    named |= {"table"} if named else set()
    named.add("cache/flow")  # a field that a run does not come to read stays as it is until one does
    return difference(*({k: v for k, v in facts.items() if k not in named} for facts in (expected, found)))


def flip(place: Path, pattern: str, rng: random.Random) -> str:
    """Flip one bit of one file, and leave its times as they are; say which."""
    files = sorted(p for p in place.glob(pattern) if p.is_file() and p.stat().st_size)
    file = rng.choice([f for f in files if not f.name.startswith(".")])
    content = bytearray(file.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return f"{file.relative_to(place)}, bit {bit}"
