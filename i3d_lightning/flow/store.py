"""Optical flow on disk, computed once for each video content and setting."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.files import write_atomically
from i3d_lightning.flow import packed
from i3d_lightning.flow.estimate import estimate_flow
from i3d_lightning.recipe import Flow, digest, plain
from i3d_lightning.video import decoding
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.damage import watched
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.transforms import quantise_flow

log = logging.getLogger(__name__)

VERSION = 4
"""Raised whenever other fields come out of the same settings: 1 was OpenCV's,
until 3 videos lay as they are stored, not upright."""

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
    """

    is_flow = True

    def __init__(self, root: Path, settings: Flow, fps: float, short_side: int) -> None:
        self.settings, self.fps, self.short_side = settings, fps, short_side
        self.root = Path(root)
        self.made_with = {"version": VERSION, "fps": fps, "short_side": short_side, **plain(settings)}
        del self.made_with["source"]  # fields are the same wherever they are computed
        self.folder = self.root / digest(self.made_with)[:16]

    def file(self, video: VideoFile) -> Path:
        """Say where a video's flow is kept."""
        return self.folder / video.content[:2] / f"{video.content}.flow"

    def length(self, video: VideoFile) -> int:
        """Count the fields of a video, computed or not.

        Raises:
            UnreadableVideoError: It cannot be read or has a single frame.
            ChangedFileError: It is another file than it was.
        """
        video.check()
        return decoding.pairs(video.path, fps=self.fps, segment=video.segment)

    def read(
        self, video: VideoFile, start: int, frames: int, period: int | None = None
    ) -> UInt8[Tensor, "2 t h w"]:
        """Read consecutive flow fields of a video, looped where it has fewer, or after `period`.

        A damaged file is computed anew, with a warning.

        Raises:
            UnreadableVideoError: The video cannot be read, so that there is no flow of it.
            InputError: The flow has not been computed, or the video is another file than it was.
        """
        length = self.length(video)
        file = self.file(video)
        try:
            return torch.from_numpy(packed.read(file, start, frames, period))
        except FileNotFoundError as error:
            for _ in self._frames(video, length):
                pass  # of one that cannot be decoded it never will be
            raise InputError(
                f"The flow of {video.path} has not been computed yet (no {file}): compute it before it is "
                f"used."
                f"{self._others()}"
            ) from error
        except packed.DamagedFlowError as error:
            log.warning("The stored flow of %s is damaged (%s) and is computed anew.", video.path, error)
            self._write(video, self._compute(video))
            return torch.from_numpy(packed.read(file, start, frames, period))

    def missing(self, videos: Sequence[VideoFile]) -> list[VideoFile]:
        """List the videos whose flow is not there, each content once."""
        lacking: dict[Path, VideoFile] = {}
        for video in videos:
            try:
                file = self.file(video)
            except UnreadableVideoError:
                file = video.path  # computing will say so
            if file not in lacking and (file is video.path or not packed.is_whole(file)):
                lacking[file] = video
        return list(lacking.values())

    def compute(
        self, videos: Sequence[VideoFile], workers: int = -1, progress: bool = True
    ) -> dict[VideoFile, str]:
        """Compute and store the flow that is missing, several videos at a time.

        Threads do, since decoding, PyTorch and the solver run outside Python's lock.

        Args:
            videos: Videos; those already done are skipped.
            workers: Videos at a time, or -1 for one per core, or two per GPU where there are any.
            progress: Show a progress bar.

        Returns:
            The videos that could not be read, and why; the others are done.

        Raises:
            InputError: The flow cannot be written, or a video is another file than it was.
        """
        videos = self.missing(videos)
        if videos:
            self._claim()
        if workers < 0:
            workers = 2 * torch.cuda.device_count() or available_cores()
        workers = max(1, min(len(videos), workers))
        failures: dict[VideoFile, str] = {}
        with _progress_bar(disable=not progress or not videos) as bar:
            task = bar.add_task("TV-L1 flow", total=len(videos), rate=0.0)
            pairs, began = 0, time.monotonic()
            for video, done in self._results(videos, workers):
                if isinstance(done, str):
                    failures[video] = done
                    log.warning("No flow: %s", done)
                else:
                    pairs += done
                bar.update(task, advance=1, rate=pairs / (time.monotonic() - began))
        return failures

    def _claim(self) -> None:
        """Write beside the flow what it is made with."""
        file = self.folder / SETTINGS
        if not file.exists():
            if others := self._others():
                log.info("Flow is computed with settings that it was not computed with before.%s", others)
            write_atomically(file, lambda f: f.write(json.dumps(self.made_with, indent=2).encode()))

    def _others(self) -> str:
        """Write a sentence for each folder of flow that was made with other settings, and with which."""
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

    def _results(self, videos: Sequence[VideoFile], workers: int) -> Iterator[tuple[VideoFile, int | str]]:
        """Yield each video with its number of fields or why it has none, as they are done."""
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            devices = cycle(_devices())
            jobs = {pool.submit(self._try, video, next(devices)): video for video in videos}
            try:
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            finally:
                pool.shutdown(cancel_futures=True)
                torch.set_num_threads(threads)  # else threads that start later, and training, have one

    def _try(self, video: VideoFile, device: torch.device) -> int | str:
        try:
            with watched() as seen:
                packed_fields = self._compute(video, device)
        except UnreadableVideoError as error:
            return str(error)
        if seen.damage:
            log.warning("Flow is of %s only, since the video is damaged: %s", seen.damage, video.path)
        self._write(video, packed_fields)
        return self.length(video)

    def _compute(self, video: VideoFile, device: torch.device = CPU) -> bytes:
        return packed.pack(self._chunks(video, device))

    def _chunks(self, video: VideoFile, device: torch.device) -> Iterator[UInt8[np.ndarray, "2 t h w"]]:
        for rgb in self._frames(video, self.length(video)):
            (flow,) = estimate_flow(rgb.to(device)[None], self.settings)
            yield quantise_flow(flow, self.settings.bound).cpu().numpy()

    def _frames(self, video: VideoFile, length: int) -> Iterator[UInt8[Tensor, "3 t h w"]]:
        """Yield the frames behind the fields of a video, a chunk at a time."""
        for start in range(0, length, _CHUNK):
            frames = min(_CHUNK, length - start) + 1
            yield decoding.read_clip(
                video.path,
                start,
                frames,
                fps=self.fps,
                short_side=self.short_side,
                segment=video.segment,
            )

    def _write(self, video: VideoFile, packed_fields: bytes) -> None:
        write_atomically(self.file(video), lambda file: file.write(packed_fields))


def _devices() -> list[torch.device]:
    """List every GPU, or else the CPU."""
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
