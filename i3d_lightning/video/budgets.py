"""What reading one video may cost. Real data never come near; a hostile or damaged file may ask for anything.

Real data are here UCF-101, HMDB-51 and Kinetics (at most 1080p and 10 s), phones (8K, 240 fps), cameras that
see all around (11,520 x 5,760 px) and recorded lectures (hours).
"""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.errors import UnreadableVideoError

PIXELS = 2**26
"""Of a frame as it is stored: 8K has half as many, the largest camera 66.4 million."""
ASPECT = 16
"""Longer side of a frame by its shorter one: the widest screens have 4. With 256 px, 3 MB a resized frame."""
HOURS = 6
"""From a video's first frame to its last."""
STILL = 600
"""Seconds that one frame may stay on display: slides do for minutes."""
ANSWER = 2**32
"""Bytes of the frames read at once: 250 of 340 x 256 px are 65 million."""
MEMORY = 3 * 2**32
"""Bytes of a decoding process in all: 16 reference frames of 8K in 10 bits are 1.6 billion."""
CPU_SECONDS = 300.0
"""Computing time of one read: 10 s of 8K at 60 fps take half of it. Waiting for a disk does not count."""
SECONDS = 900.0
"""Time of one read with all waiting, well below the half hour after which other ranks give up."""

IMAGE_PIXELS = 2**28
"""Of a still image: the largest cameras have 150 million."""
IMAGE_ASPECT = 64
"""Longer side of a still image by its shorter one: ImageNet holds a few narrow strips."""


def check_size(path: Path, width: int, height: int, pixels: int = PIXELS, aspect: int = ASPECT) -> None:
    """Refuse frames that are too large, too narrow, or of no size.

    Raises:
        UnreadableVideoError: They are.
    """
    if min(width, height) < 1:
        raise UnreadableVideoError(f"{path} holds no frame: download the video again or leave it out.")
    if width * height > pixels or max(width, height) > aspect * min(width, height):
        raise UnreadableVideoError(
            f"{path} has frames of {width}x{height} px, which no real video has (at most {pixels} px, and "
            f"{aspect} times as long as wide): leave it out."
        )


def check_times(path: Path, seconds: float, still: float) -> None:
    """Refuse a video that lasts too long, or in which a frame stays on display for too long.

    Raises:
        UnreadableVideoError: It does.
    """
    if seconds > HOURS * 3600 or still > STILL:
        raise UnreadableVideoError(
            f"{path} says that it lasts {seconds:.0f} s and shows one frame for {still:.0f} s, which no real "
            f"video does (at most {HOURS} hours and {STILL} s): leave it out."
        )


def check_answer(path: Path, frames: int, width: int, height: int) -> None:
    """Refuse to hold too many frames at once.

    Raises:
        UnreadableVideoError: They are too many.
    """
    if frames * width * height * 3 > ANSWER:
        raise UnreadableVideoError(
            f"{path} would take more than {ANSWER >> 30} GiB as {frames} frames of {width}x{height} px: "
            f"read fewer or smaller ones, or leave it out."
        )
