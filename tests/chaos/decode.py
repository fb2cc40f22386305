"""Reads videos through the decoding boundary in a process of its own, and says what came of each.

python decode.py < paths > one JSON object a line
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i3d_lightning.datasets.clips import RGBFrames, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.recipe import Clips
from i3d_lightning.video.decoding import length, probe, read_clip

FPS, SIDE, FRAMES = 25.0, 32, 8
ADDRESSES = 8 << 30
"""Bytes of address space: a decoder that asks for more gets nothing."""


def read(path: Path) -> dict[str, Any]:
    """Every way into a video: what it answers, or what is wrong with the answer."""
    return {
        "probe": _answer(path, lambda: _info(path)),
        "length": _answer(path, lambda: _positive(length(path, fps=FPS))),
        "clip": _answer(path, lambda: _frames(read_clip(path, 0, FRAMES, fps=FPS, short_side=SIDE), FRAMES)),
        "whole": _answer(path, lambda: _whole(path)),
    }


def _answer(path: Path, ask: Callable[[], str]) -> str:
    try:
        return ask()
    except UnreadableVideoError as error:
        reason = str(error)
        return f"unreadable: {reason}" if reason and "\n" not in reason else f"WRONG: reason is {reason!r}"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"[:300]


def _info(path: Path) -> str:
    info = probe(path)
    if min(info.frames, info.height, info.width) < 1 or not 0 < info.fps < float("inf"):
        return f"WRONG: {info}"
    return str(info)


def _positive(count: int) -> str:
    return str(count) if count > 0 else f"WRONG: {count} frames"


def _frames(clip: Any, frames: int | None) -> str:
    shape = tuple(clip.shape)
    if (
        shape[0] != 3
        or (frames and shape[1] != frames)
        or min(shape[2:]) != SIDE
        or str(clip.dtype) != "torch.uint8"
    ):
        return f"WRONG: {shape} {clip.dtype}"
    return f"{shape} {hashlib.sha256(clip.contiguous().numpy().tobytes()).hexdigest()[:16]}"


def _whole(path: Path) -> str:
    clips = Clips(short_side=SIDE, crop=SIDE, train_frames=4, test_frames=FRAMES)
    item = WholeVideos([Video("video", path, 0, "")], [RGBFrames(FPS, SIDE)], clips)[0]
    if item["clips"] is None:
        raise UnreadableVideoError(item["error"])
    return _frames(item["clips"][0], None)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # see proc(5)


def _peak() -> int:
    """Bytes of memory at most since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    return 0


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    base = _peak()
    for line in sys.stdin:
        _reset_peak()
        began = time.monotonic()
        answers = read(Path(line.rstrip("\n")))
        said = {"answers": answers, "seconds": time.monotonic() - began, "bytes": max(0, _peak() - base)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
