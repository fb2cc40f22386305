"""Optical flow on disk, computed once for each video content and setting."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from i3d_lightning.files import write_atomically
from i3d_lightning.plan import Flow, InputError, digest, plain
from i3d_lightning.video import decoding
from i3d_lightning.video.content import content_sha256
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.flow import packed
from i3d_lightning.video.flow.estimate import estimate_flow
from i3d_lightning.video.transforms import quantise_flow

log = logging.getLogger(__name__)

Estimator = Callable[[Tensor, Flow], Tensor]
"""RGB frames `b 3 t h w` (uint8) to displacements `b t-1 2 h w` in pixels, as `estimate.estimate_flow`."""

VERSION = 2
"""Raised whenever other fields come out of the same settings: 1 was OpenCV's."""

SETTINGS = "settings.json"

CPU = torch.device("cpu")

_CHUNK = 64
"""Fields computed at a time, so that a long video need not fit into memory."""


class FlowStore:
    """Quantised flow of videos, kept under their content and everything else that flow depends on.

    A video of n frames on the timeline has n - 1 fields.

    Args:
        root: Folder of all flow.
        settings: Settings of the algorithm.
        fps: Frame rate of the timeline that flow is computed on, in frames per second.
        short_side: Length of the shorter side that frames are resized to before, in pixels.
        estimator: Computes the flow.
    """

    is_flow = True

    def __init__(
        self,
        root: Path,
        settings: Flow,
        fps: float,
        short_side: int,
        estimator: Estimator = estimate_flow,
    ) -> None:
        self.settings, self.fps, self.short_side, self.estimator = settings, fps, short_side, estimator
        name = f"{estimator.__module__}.{estimator.__qualname__}"  # type: ignore[attr-defined]
        self.root = Path(root)
        self.folder = self.root / digest(VERSION, name, settings, fps, short_side)[:16]
        self.made_with = {
            "version": VERSION, "estimator": name, "fps": fps, "short_side": short_side, **plain(settings)
        }  # fmt: skip

    def file(self, path: Path) -> Path:
        """Where a video's flow is kept."""
        sha256 = content_sha256(path)
        return self.folder / sha256[:2] / f"{sha256}.flow"

    def length(self, path: Path) -> int:
        """Fields that a video has, computed or not.

        Raises:
            InputError: The video cannot be read or has a single frame.
        """
        return decoding.pairs(path, fps=self.fps)

    def read(self, path: Path, start: int, frames: int) -> UInt8[Tensor, "2 t h w"]:
        """Reads consecutive flow fields of a video, looped where it has fewer.

        A damaged file is computed anew, with a warning.

        Raises:
            InputError: The flow has not been computed, or the video cannot be read.
        """
        self.length(path)
        file = self.file(path)
        try:
            return torch.from_numpy(packed.read(file, start, frames))
        except FileNotFoundError as error:
            raise InputError(
                f"The flow of {path} has not been computed yet (no {file}): compute it before it is used."
                f"{self._others()}"
            ) from error
        except packed.DamagedFlowError as error:
            log.warning("The stored flow of %s is damaged (%s) and is computed anew.", path, error)
            self._write(path, self._compute(path))
            return torch.from_numpy(packed.read(file, start, frames))

    def missing(self, paths: Sequence[Path]) -> list[Path]:
        """The videos whose flow is not there, each content once."""
        lacking: dict[Path, Path] = {}
        for path in paths:
            try:
                file = self.file(path)
            except InputError:
                file = path  # it cannot even be read: computing will say so
            if file not in lacking and (file is path or not packed.is_whole(file)):
                lacking[file] = path
        return list(lacking.values())

    def compute(self, paths: Sequence[Path], workers: int = -1, progress: bool = True) -> dict[Path, str]:
        """Computes and stores the flow that is missing, several videos at a time.

        Threads do, since decoding, PyTorch and the solver run outside Python's lock.

        Args:
            paths: Videos; those already done are skipped.
            workers: Videos at a time, or -1 for one per core, or two per GPU where there are any.
            progress: Show a progress bar.

        Returns:
            The videos that could not be read, and why; the others are done.

        Raises:
            InputError: The flow cannot be written.
        """
        paths = self.missing(paths)
        if paths:
            self._claim()
        if workers < 0:
            workers = 2 * torch.cuda.device_count() or available_cores()
        workers = max(1, min(len(paths), workers))
        failures: dict[Path, str] = {}
        with _progress_bar(disable=not progress or not paths) as bar:
            task = bar.add_task("TV-L1 flow", total=len(paths), rate=0.0)
            pairs, began = 0, time.monotonic()
            for path, done in self._results(paths, workers):
                if isinstance(done, str):
                    failures[path] = done
                    log.warning("No flow: %s", done)
                else:
                    pairs += done
                bar.update(task, advance=1, rate=pairs / (time.monotonic() - began))
        return failures

    def _claim(self) -> None:
        """Writes beside the flow what it is made with."""
        file = self.folder / SETTINGS
        if not file.exists():
            if others := self._others():
                log.info("Flow is computed with settings that it was not computed with before.%s", others)
            write_atomically(file, lambda f: f.write(json.dumps(self.made_with, indent=2).encode()))

    def _others(self) -> str:
        """A sentence for each folder of flow that was made with other settings, and with which."""
        found = ""
        for file in sorted(self.root.glob(f"*/{SETTINGS}")):
            theirs = json.loads(file.read_text())
            different = [
                f"{key} {theirs.get(key)} instead of {ours}"
                for key, ours in self.made_with.items()
                if theirs.get(key) != ours
            ]
            if different:
                found += f" {file.parent} was made with {', '.join(different)}."
        return found

    def _results(self, paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, int | str]]:
        """Each video with its number of fields or why it has none, as they are done."""
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            devices = cycle(_devices())
            jobs = {pool.submit(self._try, path, next(devices)): path for path in paths}
            try:
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            finally:
                pool.shutdown(cancel_futures=True)
                torch.set_num_threads(threads)  # else threads that start later, and training, have one

    def _try(self, path: Path, device: torch.device) -> int | str:
        try:
            packed_fields = self._compute(path, device)
        except InputError as error:
            return str(error)
        self._write(path, packed_fields)
        return self.length(path)

    def _compute(self, path: Path, device: torch.device = CPU) -> bytes:
        return packed.pack(self._chunks(path, self.length(path), device))

    def _chunks(
        self, path: Path, length: int, device: torch.device
    ) -> Iterator[UInt8[np.ndarray, "2 t h w"]]:
        for start in range(0, length, _CHUNK):
            frames = min(_CHUNK, length - start) + 1
            rgb = decoding.read_clip(path, start, frames, fps=self.fps, short_side=self.short_side)
            (flow,) = self.estimator(rgb.to(device)[None], self.settings)
            yield quantise_flow(flow, self.settings.bound).cpu().numpy()

    def _write(self, path: Path, packed_fields: bytes) -> None:
        write_atomically(self.file(path), lambda file: file.write(packed_fields))


def _devices() -> list[torch.device]:
    """Every GPU, or else the CPU."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())] or [CPU]


def _progress_bar(disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("videos, {task.fields[rate]:.1f} pairs/s,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        disable=disable,
    )
