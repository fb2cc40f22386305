"""What several processes do together, for tests/test_ranks.py.

    python [-m torch.distributed.run ...] tests/together.py SCENARIO FOLDER [ROOT]

Each process writes what it found to FOLDER/<rank>.json.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from i3d_lightning import ranks
from i3d_lightning.errors import InputError

TRAINER = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}


def exchange(folder: Path, root: Path) -> dict[str, Any]:
    """Decide, gather, fail on one rank alone, and go on."""
    found: dict[str, Any] = {}
    with ranks.together("values"):
        found["first"] = ranks.by_first(lambda: f"of {ranks.rank()}")
        found["gathered"] = ranks.gather(ranks.rank())
        found["large"] = [len(part) for part in ranks.gather(b"x" * (9_000_000 + ranks.rank()))]
        found["decided"] = ranks.by_first(lambda: "again")
    for name, kind in (("users", InputError), ("bug", KeyError)):
        try:
            with ranks.together(name):
                if ranks.rank() == 1:
                    raise kind("of one alone")
                ranks.gather(None)
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    with ranks.together("the next"):
        found["next"] = ranks.gather(ranks.rank())
    return found


def flow(folder: Path, root: Path) -> dict[str, Any]:
    """Compute flow, divided: into a folder that both share, and into one for each."""
    from tiny import TINY

    from i3d_lightning.datasets import read_dataset
    from i3d_lightning.flow import FlowStore
    from i3d_lightning.recipe import Flow
    from i3d_lightning.study.flow import compute_flow

    videos = [video.file for video in read_dataset("ucf101", root, 1).test[:5]]
    found: dict[str, Any] = {}
    for place in ("shared", f"of{ranks.rank()}"):
        store = FlowStore(folder / place, Flow(**TINY["flow"]), 25.0, 32)  # type: ignore[arg-type]
        computed: list[str] = []
        real = store._compute
        store._compute = lambda video, device, real=real, to=computed: (  # type: ignore[method-assign,misc]
            to.append(video.path.name) or real(video, device)
        )
        with ranks.together(place):
            compute_flow(videos, store, "ucf101")
        found[place.rstrip("01")] = [len(computed), len(store.missing(videos))]
    return found


def fixed(folder: Path, root: Path) -> dict[str, Any]:
    """Run `fixed` where each process has a cache of its own; again after one lost its own; and again."""
    from dataclasses import replace

    from tiny import run_one

    from i3d_lightning.experiment import Experiment
    from i3d_lightning.study.workspace import Workspace

    cell = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
    cache = folder / f"cache{ranks.rank()}"
    space = Workspace(folder / "runs", cache, trainer=TRAINER)
    weights = folder / "kinetics.safetensors"
    found = {"one": run_one(cell, space, root=root, weights=weights).metrics["top1"]}
    if ranks.rank() == 1:
        shutil.rmtree(cache / "features")
    for seed in (1, 2):  # of the second all are stored, here or there
        done = run_one(replace(cell, seed=seed), space, root=root, weights=weights)
        found[f"seed {seed}"] = done.metrics["top1"]
    return found


def killed(folder: Path, root: Path) -> dict[str, Any]:
    """One process is killed while the other waits for it."""
    with ranks.together("killing"):
        if ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.gather(None)
    return {}


def stuck(folder: Path, root: Path) -> dict[str, Any]:
    """One process fails while the other waits in a collective, where it cannot be told."""
    ranks.GRACE = 2.0
    with ranks.together("sticking"):
        if ranks.rank() == 1:
            raise InputError("the disk of one is full")
        torch.distributed.barrier()
    return {}


if __name__ == "__main__":
    scenario, place = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    ranks.start(TRAINER)
    result = globals()[scenario](place, Path(sys.argv[-1]))
    (place / f"{ranks.rank()}.json").write_text(json.dumps(result))
