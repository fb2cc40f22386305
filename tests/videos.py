"""Videos made on the fly, three classes of them told apart by the colour of a moving square."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

CLASSES = ("Red", "Green", "Blue")


def write_video(path: Path, colour: int, seed: int, frames: int = 12) -> None:
    """A square of a colour (channel 0, 1 or 2) wandering over a grey ground, 40x32 px at 25 fps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    x, y, dx, dy = *random.integers(0, 12, 2), *random.integers(-1, 2, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 40, 32, "yuv420p"
        stream.bit_rate = 400_000
        for t in range(frames):
            frame = np.full((32, 40, 3), 110, np.uint8) + random.integers(0, 20, (32, 40, 1), dtype=np.uint8)
            top, left = (y + t * dy) % 20, (x + t * dx) % 26
            frame[top : top + 12, left : left + 12] = 30
            frame[top : top + 12, left : left + 12, colour] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
