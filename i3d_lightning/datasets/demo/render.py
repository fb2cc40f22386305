"""Renders the demo sets into video files, all or nothing."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from rich.progress import track

from i3d_lightning.plan import InputError, digest, plain

from .layout import ACTIONS, DemoClip, DemoSettings, clips, generator, write_lists
from .scenes import FPS, draw_scene, draw_setting, film

VERSION = 1
"""Raised whenever other frames come out of the same settings."""
BYTES_PER_CLIP = 24_000
"""What a clip takes on disk at most, file system blocks included."""
DIFFICULTY = {
    "demo-kinetics": (14, 1.0),
    "demo-ucf101": (14, 1.0),
    "demo-hmdb51": (22, 1.8),
}
"""Things in the background and unrest of the camera: demo-HMDB-51 is the harder target, as HMDB-51 is."""


@dataclass(frozen=True)
class DemoManifest:
    """What lies below a root.

    Attributes:
        settings: What it was rendered with.
        version: Version of the renderer.
        videos: Number of videos.
    """

    settings: DemoSettings
    version: int
    videos: int


def render_demo(
    root: Path, settings: DemoSettings = DemoSettings(), workers: int = os.cpu_count() or 1
) -> DemoManifest:
    """Renders demo-Kinetics, demo-UCF-101 and demo-HMDB-51 below `root`; does nothing if they are there.

    The frames derive from the settings alone, whatever the number of workers; the encoded bytes also
    depend on PyAV's FFmpeg. They are rendered beside the root and moved there when complete.

    Args:
        root: Folder that will hold `kinetics/`, `ucf101/` and `hmdb51/`.
        settings: What to render.
        workers: Processes to render with.

    Raises:
        InputError: If the root holds something else, or the disk is too full.
    """
    manifest = DemoManifest(settings, VERSION, sum(1 for _ in clips(settings)))
    if _rendered(root, manifest):
        return manifest
    root.parent.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        if _rendered(root, manifest):  # by whom we waited for
            return manifest
        partial_root = root.with_name(f".{root.name}.partial")
        shutil.rmtree(partial_root, ignore_errors=True)  # an interrupted rendering
        _check_space(root, manifest)
        try:
            _render(partial_root, settings, workers)
            (partial_root / "manifest.json").write_text(json.dumps(plain(manifest), indent=2) + "\n")
            partial_root.rename(root)
        finally:
            shutil.rmtree(partial_root, ignore_errors=True)
    return manifest


def _rendered(root: Path, wanted: DemoManifest) -> bool:
    """Whether the root holds just what is wanted; anything else in its place is an error."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / "manifest.json").read_text())
        found = {**found.pop("settings"), **found}
    except (OSError, ValueError, AttributeError, KeyError):
        raise InputError(
            f"{root} holds something other than rendered demo sets: choose another root, or move it away."
        ) from None
    expected = plain(wanted)
    expected = {**expected.pop("settings"), **expected}
    differing = [f"{k} {found.get(k)} instead of {v}" for k, v in expected.items() if found.get(k) != v]
    if differing:
        raise InputError(
            f"{root} holds demo sets rendered with {', '.join(differing)}: choose another root, or delete it."
        )
    return True


def _check_space(root: Path, manifest: DemoManifest) -> None:
    needed, free = manifest.videos * BYTES_PER_CLIP, shutil.disk_usage(root.parent).free
    if free < needed:
        raise InputError(
            f"The demo sets need {needed / 1e6:.0f} MB, but {root.parent} has {free / 1e6:.0f} MB free: "
            "free some space, or choose another root."
        )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Waits until no other process renders to the same root."""
    with root.with_name(f".{root.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _render(root: Path, settings: DemoSettings, workers: int) -> None:
    everything = list(clips(settings))
    for folder in {(root / clip.path).parent for clip in everything}:
        folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _initialise) as pool:
        done = pool.map(partial(_render_clip, root, settings), everything, chunksize=32)
        for _ in track(done, "Rendering the demo sets", total=len(everything)):
            pass
    write_lists(root, settings)


def _initialise() -> None:
    cv2.setNumThreads(1)


def _render_clip(root: Path, settings: DemoSettings, clip: DemoClip) -> None:
    encode(root / clip.path, frames(settings, clip))


def frames(settings: DemoSettings, clip: DemoClip) -> np.ndarray:
    """The frames of a clip as drawn, `t h w c` uint8 RGB."""
    clutter, unrest = DIFFICULTY[clip.dataset]
    setting = draw_setting(generator(settings, clip.dataset, clip.label, clip.group), clutter)
    rng = generator(settings, clip.dataset, clip.label, clip.group, clip.index)
    return film(draw_scene(ACTIONS[clip.dataset][clip.label], setting, rng, unrest))


def encode(path: Path, frames: np.ndarray) -> None:
    """Writes frames `t h w c` as H.264 into .mp4, as MPEG-4 into .avi, well enough to keep thin limbs."""
    with av.open(path, "w") as container:
        if path.suffix == ".mp4":
            stream = container.add_stream("libx264", FPS, options={"crf": "18", "preset": "veryfast"})
        else:
            stream = container.add_stream("mpeg4", FPS, options={"qmin": "2", "qmax": "3"})
        stream.thread_count = 1
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
