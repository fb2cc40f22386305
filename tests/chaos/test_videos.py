"""Damaged and hostile videos: frames or one sentence, within time and memory, and twice the same."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
from chaos import decode
from chaos.damage import generate, special
from chaos.report import Report
from chaos.subject import IMPORT, Videos, experiment
from chaos.trials import Trials
from chaos.warm import quiet_environment

pytestmark = pytest.mark.chaos

VIDEOS = 2000
THROUGH_COMMANDS = 100
SEED = 0
SECONDS = 60.0
"""For all ways into one video together."""
BYTES = 1 << 30


class Decoder:
    """A process that reads videos, started again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> dict[str, Any] | str:
        """What came of a video, or what became of the process."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, decode.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=quiet_environment(),
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS + 30)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return f"the process that decodes died ({code})" if ready else "it hangs"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def test_videos_through_the_decoding_boundary(report: Report, trials: Trials) -> None:
    folder = trials.ground / "damaged"
    folder.mkdir()
    cases = {f"video-{path.name}": path for path in generate(folder, VIDEOS, SEED)}
    once: dict[Path, object] = {}
    decoders = [Decoder(), Decoder()]
    free = list(decoders)

    def act(path: Path, place: Path) -> str | None:
        decoder = free.pop()
        try:
            said = decoder.read(path)
        finally:
            free.append(decoder)
        if isinstance(said, str):
            return said
        wrong = [f"{way}: {answer}" for way, answer in said["answers"].items() if answer.startswith("WRONG")]
        if wrong:
            return "; ".join(wrong)
        if said["seconds"] > SECONDS:
            return f"it took {said['seconds']:.0f} s"
        if said["bytes"] > BYTES:
            return f"it took {said['bytes'] / 1e9:.1f} GB"
        if once.setdefault(path, said["answers"]) != said["answers"]:
            return f"another answer the second time: {said['answers']} instead of {once[path]}"
        return None

    try:
        with report.row(
            "A damaged or hostile video through the decoding boundary, and again for the same answer", 8
        ) as row:
            trials.each(row, trials.chosen(cases), act)
            again = {f"{name}-again": path for name, path in trials.chosen(cases).items() if path in once}
            for decoder in decoders:
                decoder.close()
            trials.each(row, dict(reversed(again.items())), act)
    finally:
        for decoder in decoders:
            decoder.close()


@pytest.fixture(scope="module")
def hostile(trials: Trials) -> list[Path]:
    """A hundred of them: the special ones, and others of every kind."""
    folder = trials.ground / "hostile"
    folder.mkdir()
    every = list(generate(folder, VIDEOS, SEED))
    ways = len(list(special()))
    rest = every[ways :: (VIDEOS - ways) // (THROUGH_COMMANDS - ways)]
    return [path for path in [*every[:ways], *rest][:THROUGH_COMMANDS] if trials.case in path.name]


def test_videos_through_predict(report: Report, trials: Trials, videos: Videos, hostile: list[Path]) -> None:
    argv = [IMPORT, "predict", *map(str, hostile), f"--weights={videos.weights}", "--json"]
    with report.row("A hundred of them in one list through predict", 2) as row:
        with trials.place("predict") as place, trials.warm() as warm:
            ended = warm.run(argv, place, seconds=600)
        answers = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        predicted = {answer["video"] for answer in answers if answer.get("predictions")}
        for path in hostile:
            said = [
                line for line in ended.stderr.splitlines() if line.startswith("error: ") and str(path) in line
            ]
            wrong = None
            if ended.traceback or ended.code not in (0, 1, 2):
                wrong = f"the list ended in {ended.code}: {ended.tail}"
            elif (str(path) in predicted) + len(said) != 1:
                wrong = f"{len(said)} sentences, and {'a' if str(path) in predicted else 'no'} prediction"
            row.count(f"predict-{path.name}", wrong)


def test_videos_through_fixed(report: Report, trials: Trials, videos: Videos, hostile: list[Path]) -> None:
    root = trials.ground / "hostile-set"
    names = {}
    for part, label in (("train", "Red"), ("train", "Green"), ("test", "Red"), ("test", "Green")):
        (root / part / label).mkdir(parents=True)
        for good in sorted((videos.target / part / label).iterdir()):
            copyfile(good, root / part / label / f"good-{good.name}")
    for number, path in enumerate(hostile):
        place = root / ("train/Red", "test/Green")[number % 2] / path.name
        copyfile(path, place)
        names[place.relative_to(root).as_posix()] = path.name

    argv = [*experiment(videos, "fixed"), f"--root={root}"]
    with report.row("A hundred of them as videos of a data set through fixed", 2) as row:
        with trials.place("fixed") as place, trials.warm() as warm:
            ended = warm.run(argv, place, seconds=600)
            found = [json.loads(file.read_text()) for file in (place / "runs").rglob("result.json")]
            tested = [p for file in (place / "runs").rglob("predictions.npz") for p in _finite(file)]
        named = {
            v: why for result in found for part in result["unreadable"].values() for v, why in part.items()
        }
        for name, short in names.items():
            wrong = None
            if ended.traceback or not found:
                wrong = f"the run ended in {ended.code}: {ended.tail}"
            elif name in named and (short not in named[name] or "\n" in named[name]):
                wrong = f"unreadable, but no sentence says so: {named[name]}"
            elif name.startswith("test/") and (name in named) + (name in tested) != 1:
                wrong = "neither unreadable nor predicted, or both"
            row.count(f"fixed-{short}", wrong)


def _finite(file: Path) -> list[str]:
    """The videos of which there is a prediction."""
    with np.load(file) as stored:
        return [
            v for v, logits in zip(stored["ids"], stored["logits"], strict=True) if np.isfinite(logits).all()
        ]
