"""Write opencv.npz, what OpenCV's TV-L1 finds of the frames of test_tvl1.py.

It takes OpenCV's contrib modules, which the package does not, in a folder of their own:

    python -m pip install --no-deps --target contrib opencv-contrib-python-headless
    PYTHONPATH=contrib:benchmarks python tests/flow/opencv_reference.py ASSETS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from opencv_flow import opencv_flow
from test_tvl1 import EVERY, _agreement, _authors_clip, _endpoint_error, _real_frames, _scene

from i3d_lightning.recipe import Flow


def main(assets: Path) -> None:
    found = {}
    for kind in ("translation", "rotation", "zoom", "occlusion"):
        frames, truth = _scene(kind)
        found[kind] = _endpoint_error(opencv_flow(frames, Flow())[0, 0], truth).numpy()
    frames = _real_frames(assets, "v_Basketball_g01_c01", frames=2)
    found["real"] = opencv_flow(frames, Flow())[..., ::EVERY, ::EVERY].numpy().astype(np.float16)
    frames, expected = _authors_clip(assets)
    found["authors"] = np.array(_agreement(opencv_flow(frames, Flow())[:, 0], expected))
    np.savez_compressed(Path(__file__).with_name("opencv.npz"), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
