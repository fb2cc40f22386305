"""Videos to measure on: real ones where there are some, else the demo's."""

from __future__ import annotations

import os
from pathlib import Path

from i3d_lightning.demo import render_demo


def videos(number: int) -> list[Path]:
    """So many videos of UCF-101 below I3D_ASSETS, spread over its classes, or of demo-UCF-101."""
    real = sorted(Path(os.environ.get("I3D_ASSETS", ""), "ucf101/videos").rglob("*.avi"))
    if not real:
        render_demo(Path("data/demo"))
        real = sorted(Path("data/demo").rglob("*.avi"))
    return real[:: max(1, len(real) // number)][:number]
