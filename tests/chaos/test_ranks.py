"""Two ranks with torchrun: the numbers of one process, and when one rank dies the job ends and can go on."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from chaos.process import TORCHRUN, Process, below
from chaos.report import Report
from chaos.subject import Videos, copy, difference, experiment, results
from chaos.trials import Trials

pytestmark = pytest.mark.chaos

DEATHS = 6
"""Kills and TERMs of one rank."""
TO_END = 60
"""Seconds within which the job ends after one rank has died."""
TWO = ["--trainer={accelerator: cpu, devices: 2, strategy: ddp}"]
LONG = {"steps": 60, "validate_every": 10, "batch_size": 4, "reference_batch": 4}


def test_two_ranks(report: Report, trials: Trials, videos: Videos) -> None:
    fixed, origin = experiment(videos, "fixed"), experiment(videos, "origin", **LONG)
    ground = trials.ground / "ranks"
    for name in ("one", "two"):
        (ground / name).mkdir(parents=True)

    def ran(argv: list[str], place: Path) -> str | None:
        ended = Process(argv, place, TORCHRUN).end()
        if ended.code != 0 or ended.traceback:
            return f"ended in {ended.code}: {ended.tail}"
        twice = [line for line in set(ended.stderr.splitlines()) if line.startswith("Running small-")]
        said = sum(ended.stderr.count(line) for line in twice)
        return None if said <= 1 else f"{said} ranks speak"

    def as_one(case: str, place: Path) -> str | None:
        """The features are all stored, partly, or not at all."""
        if case != "none":
            copy(ground / "one" / "cache", place / "cache")
        if case == "some":
            for file in sorted((place / "cache/features").rglob("*"))[::2]:
                if file.is_file():
                    file.unlink()
        return ran([*fixed, *TWO], place) or close(ground / "one", place)

    def dies(case: tuple[float, int, int], place: Path) -> str | None:
        share, rank, how = case
        job = Process([*origin, *TWO], place, TORCHRUN)
        if not job.wait_until(lambda: any((place / "runs").rglob("metrics.csv"))):
            return f"it did not begin to train: {job.end(5).tail}"
        time.sleep(share * 3)
        found = ranks(job.pid)
        if rank in found:
            os.kill(found[rank], how)
        ended = job.end(TO_END)
        if not ended.in_time:
            return f"the job goes on for {TO_END} s after the death of rank {rank}"
        if ended.code == 0 and not list(place.rglob("result.json")):
            return "the job ended well, but there is no result"
        return ran([*origin, *TWO], place) or difference(results(ground / "two"), results(place))

    rng = random.Random(0)
    deaths = {
        f"ranks-{n}-{how.name}-of-{n % 2}": (rng.random(), n % 2, how)
        for n in range(DEATHS)
        for how in [signal.SIGTERM if n % 3 == 2 else signal.SIGKILL]
    }
    stored = {f"ranks-features-stored-{case}": case for case in ("all", "some", "none")}
    with report.row("Two ranks with torchrun; one of them is killed or asked to stop", 6) as row:
        with trials.warm() as warm:
            whole = warm.run(fixed, ground / "one")
        assert whole.code == 0, whole.stderr[-2000:]
        trials.each(row, trials.chosen(stored), as_one, lanes=1)
        row.count("ranks-origin", ran([*origin, *TWO], ground / "two"))
        trials.each(row, trials.chosen(deaths), dies, lanes=1)


def close(one: Path, two: Path) -> str | None:
    """Say where the predictions of two ranks are not those of one process."""
    (first,), (second,) = (list((place / "runs").rglob("predictions.npz")) for place in (one, two))
    with np.load(first) as a, np.load(second) as b:
        if a["ids"].tolist() != b["ids"].tolist() or a["labels"].tolist() != b["labels"].tolist():
            return "the videos are others, or in another order"
        far = float(np.abs(a["logits"] - b["logits"]).max())
    return None if far < 1e-4 else f"logits differ by {far:.2g}"


def ranks(parent: int) -> dict[int, int]:
    """The processes below another that are ranks: rank -> process."""
    found: dict[int, int] = {}
    for process in below(parent):
        try:
            content = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        variables = dict(v.split("=", 1) for v in content.split("\0") if "=" in v)
        if "LOCAL_RANK" in variables:
            found.setdefault(int(variables["LOCAL_RANK"]), process)
    return found
