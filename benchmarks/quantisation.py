"""Whether 8 bits cost anything: flow I3D trained on demo-HMDB-51 with quantised and with unquantised flow.

Not part of `make bench`, as it takes minutes:

    python benchmarks/quantisation.py
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from i3d_lightning.experiment import Experiment
from i3d_lightning.flow import on_device
from i3d_lightning.launch import LAUNCHERS
from i3d_lightning.study.planner import plan
from i3d_lightning.study.workspace import Workspace

SEEDS = 3


def main() -> None:
    quantised = on_device.quantise_flow
    for name, quantise in (("8 bits", quantised), ("unquantised", _unquantised)):
        on_device.quantise_flow = quantise
        with tempfile.TemporaryDirectory() as place:
            space = Workspace(Path(place) / "runs", Path(place) / "cache")
            cell = Experiment("i3d", "flow", "none", "origin", "demo-hmdb51")
            wanted = [replace(cell, seed=seed) for seed in range(SEEDS)]
            cells = plan(wanted, space, settings=lambda _: {"flow": {"source": "computed"}})
            scores = [run.metrics["top1"] for run in LAUNCHERS["local"](cells, space).done]
        each = ", ".join(f"{score:.1f}" for score in scores)
        print(f"{name}: top-1 {statistics.mean(scores):.1f} % ({each})", flush=True)


def _unquantised(flow: Tensor, bound: float) -> Tensor:
    """On the scale of `quantise_flow`, clipped as there, but not rounded."""
    return (flow / bound).clamp(-1, 1).add(1).mul(127.5).movedim(1, 0)


if __name__ == "__main__":
    main()
