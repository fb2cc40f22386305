"""Short videos made on the fly, whose frame number can be read from the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from torch import Tensor

BITS, BLOCK, HEIGHT = 10, 8, 48


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video of 80x48 px whose frames show their number."""

    def make(
        name: str = "clip.mkv",
        codec: str = "ffv1",
        pix_fmt: str = "bgr0",
        frames: int = 60,
        fps: float | Fraction = 25,
        times: Sequence[int] | None = None,
        container: dict[str, str] | None = None,
        **options: str,
    ) -> Path:
        path = tmp_path / name
        pictures = [numbered_picture(number) for number in range(frames)]
        write(path, pictures, codec, pix_fmt, Fraction(fps), times, container or {}, options)
        return path

    return make


@pytest.fixture
def numbers() -> Callable[[Tensor], list[int]]:
    """Reads the numbers that the frames of a clip `c t h w` show."""
    return read_numbers


def numbered_picture(number: int) -> np.ndarray:
    """White blocks for the ones of a binary number, above a bar that moves with it."""
    picture = np.zeros((HEIGHT, BITS * BLOCK, 3), np.uint8)
    for bit in range(BITS):
        picture[: HEIGHT // 2, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    picture[HEIGHT // 2 :, number % (BITS * BLOCK)] = (255, 128, 0)
    return picture


def read_numbers(clip: Tensor) -> list[int]:
    block = clip.shape[3] / BITS
    columns = [int((bit + 0.5) * block) for bit in range(BITS)]
    ones = clip[0, :, clip.shape[2] // 4][:, columns] > 127
    return [sum(1 << bit for bit in range(BITS) if frame[bit]) for frame in ones]


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str,
    pix_fmt: str,
    fps: Fraction,
    times: Sequence[int] | None,
    container_options: dict[str, str],
    options: dict[str, str],
) -> None:
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = 1 / fps
            frame.pts = times[number] if times else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
