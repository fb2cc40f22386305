"""Everything that is measured, each beside its baseline in the same run: `make bench`.

    python benchmarks [NAME ...]

Real clips are used where the environment variable I3D_ASSETS names a folder with `ucf101/`, else the demo
videos, which are rendered where they are not there yet.
"""

from __future__ import annotations

import sys

import fixed
import flow
import loading
import memory
import networks
from side_by_side import machine

BENCHMARKS = {
    "inference": networks.inference,
    "training": networks.training,
    "memory": memory.main,
    "loading": loading.main,
    "fixed": fixed.main,
    "flow": flow.main,
}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    print(machine(), flush=True)
    for name in chosen:
        BENCHMARKS[name]()
