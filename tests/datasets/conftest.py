from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from numbered import make_video  # noqa: F401


@pytest.fixture
def touch():
    """Makes empty files: readers only look whether videos are there."""

    def touch(folder: Path, names: Iterable[str]) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return touch
