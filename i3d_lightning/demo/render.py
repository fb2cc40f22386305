"""Renders the demo sets into video files, all or nothing."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from rich.progress import track

from i3d_lightning import interruption
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import plain

from .drawing import film
from .images import draw_image
from .layout import (
    ACTIONS,
    DEMO_CLASSES,
    DEVELOPMENT_SEED,
    DemoClip,
    DemoSettings,
    clips,
    generator,
    write_lists,
)
from .scenes import sample_scene, sample_setting

FPS = 25
MANIFEST = "manifest.json"
VERSION = 2
"""Raised whenever other frames come out of the same settings."""
BYTES_PER_CLIP = 24_000
"""What a clip takes on disk at most, file system blocks included."""
DIFFICULTY = {
    "demo-imagenet": (14, 0.0),
    "demo-kinetics": (14, 1.6),
    "demo-ucf101": (14, 2.2),
    "demo-hmdb51": (22, 2.7),
}
"""Things in the background and unrest of the camera: demo-HMDB-51 is the harder target, as HMDB-51 is."""


@dataclass(frozen=True)
class DemoManifest:
    """What lies below a root.

    Attributes:
        settings: What it was rendered with.
        videos: Number of videos in all.
    """

    settings: DemoSettings
    videos: int

    def __str__(self) -> str:
        sets = ", ".join(f"{name} ({len(labels)} classes)" for name, labels in DEMO_CLASSES.items())
        return f"{self.videos} videos and images rendered from seed {self.settings.seed}: {sets}"


def render_demo(
    root: Path, settings: DemoSettings = DemoSettings(), workers: int = os.cpu_count() or 1
) -> DemoManifest:
    """Renders the demo sets below `root`; does nothing if they are there.

    The frames derive from the settings alone, whatever the number of workers; the encoded bytes also
    depend on the FFmpeg that PyAV carries. Everything is rendered beside the root and renamed to it at
    the end, so a root is complete or absent; a second process waits for the first.

    Args:
        root: Folder that will hold `imagenet/`, `kinetics/`, `ucf101/` and `hmdb51/`.
        settings: What to render.
        workers: Processes to render with.

    Raises:
        InputError: The root holds something else or cannot be written, or the disk is too full.
    """
    root = root.resolve()
    manifest = DemoManifest(settings, sum(1 for _ in clips(settings)))
    if _rendered(root, settings):
        return manifest
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root):
            if not _rendered(root, settings):  # by whom we waited for
                _check_space(root, manifest.videos)
                _render_beside(root, settings, workers)
    except OSError as error:
        raise InputError(
            f"The demo sets cannot be written to {root}: {error}; choose another root."
        ) from error
    return manifest


def use_demo(root: Path) -> DemoManifest:
    """Take the demo sets below a root, of whatever seed; where there are none, render the usual.

    Args:
        root: As for `render_demo`.

    Raises:
        InputError: As `render_demo`.
    """
    return render_demo(root, _settings_of(root) or DemoSettings())


def is_development(root: Path) -> bool:
    """Say whether the demo sets below a root are those that choices are made on."""
    found = _settings_of(root)
    return found is not None and found.seed == DEVELOPMENT_SEED


def _settings_of(root: Path) -> DemoSettings | None:
    """What demo sets were rendered with, None where there are none that this version renders."""
    try:
        found = json.loads((root / MANIFEST).read_text())
        return DemoSettings(**found) if found.pop("version") == VERSION else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _rendered(root: Path, settings: DemoSettings) -> bool:
    """Whether the root holds just what is wanted; anything else in its place is an error."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        raise InputError(
            f"{root} holds something other than rendered demo sets: choose another root, or move it away."
        ) from None
    differing = [
        f"{key} {found.get(key)} instead of {value}"
        for key, value in _stamp(settings).items()
        if found.get(key) != value
    ]
    if differing:
        raise InputError(
            f"{root} holds demo sets rendered with {', '.join(differing)}: choose another root, or delete it."
        )
    return True


def _stamp(settings: DemoSettings) -> dict[str, int]:
    """All that the frames depend on."""
    return {"version": VERSION, **plain(settings)}


def _check_space(root: Path, videos: int) -> None:
    needed, free = videos * BYTES_PER_CLIP, shutil.disk_usage(root.parent).free
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


def _render_beside(root: Path, settings: DemoSettings, workers: int) -> None:
    """Renders into a folder of its own beside the root and renames it to the root when complete."""
    for killed in root.parent.glob(f".{root.name}.unfinished-*"):
        shutil.rmtree(killed, ignore_errors=True)
    # Workers of a rendering just killed may write on for a moment, so each has a folder of its own.
    unfinished = root.with_name(f".{root.name}.unfinished-{os.getpid()}")
    try:
        everything = list(clips(settings))
        for folder in {(unfinished / clip.path).parent for clip in everything}:
            folder.mkdir(parents=True)
        with multiprocessing.get_context("spawn").Pool(workers, _initialise) as pool:
            done = pool.imap_unordered(partial(_render_clip, unfinished, settings), everything, chunksize=16)
            for _ in track(done, "Rendering the demo sets", total=len(everything)):
                pass
        write_lists(unfinished, settings)
        (unfinished / MANIFEST).write_text(json.dumps(_stamp(settings), indent=2) + "\n")
        os.sync()  # a root that is there after a power cut is whole
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _initialise() -> None:
    interruption.leave_group()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who is to be told may be gone before we notice
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """End without a word where the process that wants the videos was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _render_clip(root: Path, settings: DemoSettings, clip: DemoClip) -> None:
    if clip.dataset == "demo-imagenet":
        (image,) = frames(settings, clip)
        cv2.imwrite(str(root / clip.path), image[..., ::-1])
    else:
        encode(root / clip.path, frames(settings, clip))


def frames(settings: DemoSettings, clip: DemoClip) -> np.ndarray:
    """The frames of a clip as drawn, `t h w c` uint8 RGB; of an image, the only one."""
    clutter, unrest = DIFFICULTY[clip.dataset]
    if clip.dataset == "demo-imagenet":
        rng = generator(settings, clip.dataset, clip.label, clip.group)
        return draw_image(clip.label, rng, clutter)[None]
    setting = sample_setting(generator(settings, clip.dataset, clip.label, clip.group), clutter)
    rng = generator(settings, clip.dataset, clip.label, clip.group, clip.index)
    scene = sample_scene(ACTIONS[clip.dataset][clip.label], setting, rng, unrest)
    return film(scene.shapes, scene.camera, setting.background)


def encode(path: Path, frames: np.ndarray) -> None:
    """Writes frames `t h w c` as H.264 into .mp4, as MPEG-4 into .avi, well enough to keep thin limbs."""
    if path.suffix == ".mp4":  # x264's macroblock tree is not repeatable on frames this small
        codec, options = "libx264", {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
    else:
        codec, options = "mpeg4", {"qmin": "2", "qmax": "3"}
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, FPS, options=options)
        stream.thread_count = 1
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
