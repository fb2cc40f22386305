"""How many CPU cores there are to share."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Count the cores that this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
