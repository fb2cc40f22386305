"""Disks too small, or only to be read: one sentence, and with more room the same command completes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.report import Report
from chaos.subject import Videos, copy, difference, results, stages
from chaos.trials import Trials
from chaos.warm import Ended

pytestmark = pytest.mark.chaos

ROOM = (
    "nr_inodes=4",
    "nr_inodes=12",
    "nr_inodes=30",
    *(f"size={k}k" for k in (4, 16, 32, 64, 96, 128, 192, 256)),
)
"""Of a disk that may be too small: so many files, or bytes."""

Case = tuple[str, str]


def test_small_and_read_only_disks(report: Report, trials: Trials, videos: Videos) -> None:
    argvs = stages(videos)
    cases: dict[str, Case] = {f"disk-{stage}-{room}": (stage, room) for stage in argvs for room in ROOM}
    cases |= {
        f"disk-{stage}-read-only-{state}": (stage, state)
        for stage in argvs
        for state in ("empty", "complete")
    }
    expected, finished = {}, {}

    def act(case: Case, place: Path) -> str | None:
        stage, room = case
        small = room.startswith(("size", "nr"))
        with trials.warm() as warm, mounted(place / "disk", room if small else "size=64m") as disk:
            if room == "complete":
                copy(finished[stage], disk)
            if not small:
                mount("-o", "remount,ro", disk)
            ended = warm.run(argvs[stage], disk, said=place)
            if wrong := check(ended, difference(expected[stage], results(disk))):
                return wrong
            mount("-o", "remount,rw,size=256m,nr_inodes=0", disk)
            again = warm.run(argvs[stage], disk, said=place)
            if again.code != 0 or again.traceback:
                return f"with room, the same command ended in {again.code}: {again.tail}"
            return difference(expected[stage], results(disk))

    with report.row("A disk without room for bytes or files, or one that may only be read", 4) as row:
        if not may_mount(trials.ground):
            row.skipped = "only root may mount small disks"
            pytest.skip(row.skipped)
        for stage in dict.fromkeys(stage for stage, _ in trials.chosen(cases).values()):
            finished[stage] = trials.ground / f"disk-{stage}-whole"
            finished[stage].mkdir()
            with trials.warm() as warm:
                whole = warm.run(argvs[stage], finished[stage], said=trials.ground)
            assert whole.code == 0, f"{stage}: {whole.stderr[-2000:]}"
            expected[stage] = results(finished[stage])
        trials.each(row, trials.chosen(cases), act)


def check(ended: Ended, differs: str | None) -> str | None:
    """Say what is wrong with how a command ended on a bad disk."""
    if not ended.in_time:
        return "it hangs"
    if ended.traceback:
        return f"a traceback: {ended.tail}"
    if ended.code == 0:
        return differs and f"it ended well, but {differs}"
    return None if ended.code == 2 and ended.sentence else f"no sentence, status {ended.code}: {ended.tail}"


@contextmanager
def mounted(disk: Path, room: str) -> Iterator[Path]:
    """A disk of its own in memory."""
    disk.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", room, "tmpfs", disk)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def may_mount(ground: Path) -> bool:
    if os.geteuid() != 0:
        return False
    try:
        with mounted(ground / "disk", "size=64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
