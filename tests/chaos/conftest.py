"""`make chaos`: disturbs runs on purpose and prints one table of what held.

pytest -m chaos tests/chaos                                  # all of it, 40 minutes on two cores
pytest -m chaos tests/chaos --share 0.05                     # a twentieth of the trials
pytest -m chaos tests/chaos/test_faults.py --case training-17-full    # one trial again, its files kept
pytest -m chaos tests/chaos --table docs/chaos.md            # and write the table
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.report import Report
from chaos.subject import Videos
from chaos.trials import Trials

REPORT = Report()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--share", type=float, default=1.0, help="share of the trials to do")
    group.addoption(
        "--case", default="", help="do only the trials whose name contains this; keep their files"
    )
    group.addoption("--table", type=Path, help="write the table to this file")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # those of other folders are among them
        if item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.timeout(3600))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not REPORT.rows:
        return
    terminalreporter.section("chaos")
    for line in REPORT.lines():
        terminalreporter.write_line(line)
    for line in REPORT.failures():
        terminalreporter.write_line(f"  not: {line}")
    if config.getoption("--table"):
        REPORT.write(config.getoption("--table"), [config.getoption("--share")])


@pytest.fixture(scope="session")
def report() -> Report:
    return REPORT


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for hundreds of runs: in memory where that is possible, since every write is synchronised."""
    memory = Path("/dev/shm")
    within = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="i3d-chaos-", dir=within))
    yield folder
    if not request.config.getoption("--case"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def videos(ground: Path) -> Videos:
    return Videos.write(ground / "videos")


@pytest.fixture(scope="session")
def trials(request: pytest.FixtureRequest, ground: Path) -> Iterator[Trials]:
    trials = Trials(ground, request.config.getoption("--share"), request.config.getoption("--case"))
    yield trials
    trials.close()
