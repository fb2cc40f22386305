"""The features of many videos: frames are read in one thread, and features computed in another."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.features.folder import FeatureFolder
from i3d_lightning.features.layouts import Layout
from i3d_lightning.features.progress import Meter
from i3d_lightning.features.records import Record, located
from i3d_lightning.features.streams import FeatureStream
from i3d_lightning.features.videos import Listed
from i3d_lightning.features.windows import Sliding, Windows, ahead
from i3d_lightning.flow.store import VERSION as FLOW_VERSION
from i3d_lightning.recipe import plain
from i3d_lightning.video import decoding
from i3d_lightning.video.damage import watched
from i3d_lightning.video.file import ChangedFileError, VideoFile

log = logging.getLogger(__name__)

VERSION = 1
"""Raised when a change of the code changes features, so that a folder never holds both."""

AT_ONCE = {"cpu": 128, "cuda": 256}
"""Frames of the windows that a network sees together."""


@dataclass(frozen=True)
class Extracted:
    """What became of an extraction.

    Attributes:
        folder: Where features are.
        computed: Videos whose features were computed now.
        there: Videos whose features were there.
        missing: Id of a video that has none -> why.
        partly: Id of a video of which only a part could be read -> how much, such as "28 of 139 frames".
    """

    folder: Path
    computed: int = 0
    there: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)
    partly: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stretch:
    """Frames of a video."""

    windows: Windows
    start: int
    count: int
    frames: Tensor


@dataclass(frozen=True)
class _End:
    """A video that was read to its end; or whose features are there; or that has none.

    Attributes:
        video: Which.
        file: Its file as it was read, where it was.
        partly: Of a video of which only a part could be read: how much.
        why: Why it has no features.
    """

    video: Listed
    file: VideoFile | None = None
    partly: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Job:
    """What is to be computed of every video."""

    folder: FeatureFolder
    layout: Layout
    streams: tuple[FeatureStream, ...]
    clip: int
    step: int

    @property
    def sees_pairs(self) -> bool:
        """Whether the last frame of a video only ends a flow field."""
        return self.layout.pairs or any(stream.flow is not None for stream in self.streams)

    def about(self, stream: str, endpoint: str) -> dict[str, Any]:
        """All that features depend on, and what readers need to know of them."""
        channels: dict[str, list[int]] = {}
        end = 0
        for one in self.streams:
            begin = end if self.layout.joins else 0
            end = begin + one.size
            channels[one.stream] = [begin, end]
        rules = ("short_side", "aspect", "interpolation", "test_side", "snapshot", "mean", "std")
        return {
            "version": VERSION,
            "layout": self.layout.name,
            "architecture": {one.stream: one.architecture.name for one in self.streams},
            "architecture_version": {one.stream: one.architecture.result_version for one in self.streams},
            "stream": stream,
            "endpoint": endpoint,
            "pooling": "mean over space and time",
            "weights": {one.stream: one.weights.sha256 for one in self.streams},
            "weights_from": {one.stream: one.weights.source for one in self.streams},
            "fps": self.streams[0].clips.fps,
            "clip": self.clip,
            "step": self.step,
            "centre_seconds": "(i * step + clip / 2) / fps",
            "tail": self.layout.tail,
            "last_frame": "not seen, as it has no flow" if self.sees_pairs else "seen",
            "channels": channels,
            "preparation": {
                one.stream: {name: plain(getattr(one.clips, name)) for name in rules} for one in self.streams
            },
            "flow": {
                one.stream: {"version": FLOW_VERSION, **plain(one.flow), "source": "computed"}
                for one in self.streams
                if one.flow is not None
            },
            "precision": "float32",
            "warnings": [warning for one in self.streams for warning in one.warnings],
            "software": f"i3d-lightning {version('i3d-lightning')}, torch {torch.__version__}",
        }

    def files(self, video: Listed) -> list[Path]:
        """Where the features of a video are: in one file, or in one for each stream."""
        names = [""] if self.layout.joins else [one.stream for one in self.streams]
        return [self.folder.root / self.layout.file.format(id=video.id, stream=name) for name in names]

    def run(self, videos: Sequence[Listed], meter: Meter) -> Extracted:
        """Compute what is missing.

        Raises:
            InputError: Features that are there are of another video, or nothing says of which.
        """
        self._refuse_others(videos)
        self.folder.update()
        missing, partly = self.folder.left_out()
        computed = there = 0
        windows: _InProgress | None = None
        with meter, closing(ahead(self._read(videos))) as items:
            for item in items:
                if isinstance(item, _Stretch):
                    windows = windows or _InProgress(self, item.windows)
                    windows.add(item, meter)
                    continue
                name = item.video.id
                if item.file is not None:
                    assert windows is not None
                    self._write(item.video, item.file, windows.values(item.video), item.partly)
                    if item.partly:
                        log.warning("Features are of %s only: %s", item.partly, item.video.path)
                    computed += 1
                elif item.why is None:
                    there += 1
                else:
                    log.warning("No features: %s", item.why)
                if (missing.get(name), partly.get(name)) != (item.why, item.partly):
                    self.folder.update({name: item.why}, {name: item.partly})
                windows = None
                meter.add(videos=1, computed=item.file is not None)
        missing, partly = self.folder.left_out()
        mine = {video.id for video in videos}
        return Extracted(
            self.folder.root,
            computed,
            there,
            {name: why for name, why in missing.items() if name in mine},
            {name: how for name, how in partly.items() if name in mine},
        )

    def _read(self, videos: Sequence[Listed]) -> Generator[_Stretch | _End, None, None]:
        """Read what is missing, stretch by stretch; each video comes to its end, or fails."""
        for video in videos:
            try:
                with watched() as seen:
                    file = VideoFile.of(video.path)
                    if record := self._there(video, file):
                        yield _End(video, partly=record.partly)
                        continue
                    windows = self._windows(file)
                    file = replace(file, sha256=file.content)
                    if windows.length < self.clip:
                        log.warning("%s is shorter than a window and is looped to one.", video.path)
                    for start, count in windows.stretches():
                        frames = self.streams[0].source.read(file, start, count + self.sees_pairs)
                        yield _Stretch(windows, start, count, frames)
                    file.check()
                yield _End(video, file, str(seen.damage) if seen.damage else None)
            except UnreadableVideoError as error:
                yield _End(video, why=str(error))
            except ChangedFileError:
                yield _End(video, why=f"{video.path} changed while it was read: run the command again.")

    def _windows(self, file: VideoFile) -> Windows:
        length = (decoding.pairs if self.sees_pairs else decoding.length)(
            file.path, fps=self.streams[0].clips.fps
        )
        windows = Windows(self.clip, self.step, length, self.layout.loops)
        if not len(windows):
            raise UnreadableVideoError(
                f"{file.path} has {length + self.layout.pairs} frames, but a window takes "
                f"{self.clip + self.layout.pairs}: leave it out, or choose a smaller --clip."
            )
        return windows

    def _refuse_others(self, videos: Sequence[Listed]) -> None:
        """Refuse to replace features of other videos, before anything is computed."""
        for video in videos:
            left = next(filter(Path.exists, self.files(video)), None)
            if left is None:
                continue
            record, file = self.folder.record(video.id), VideoFile.of(video.path)
            if record is None:
                raise InputError(
                    f"{left} is there, but {self.folder.record_of(video.id)} does not say of which "
                    "video: bring the latter from where the features were made, or take the former away."
                )
            if record.video.path != located(file).path and record.of(file) is None:
                raise InputError(
                    f"{left} has the features of {record.video.path}, of which {video.path} is no copy: "
                    "choose another folder, or rename it."
                )

    def _there(self, video: Listed, file: VideoFile) -> Record | None:
        """Find the features of a video, if they are there and whole; what else is there is taken away.

        So no features outlive the content that they are of, even if what replaced it cannot be read.
        """
        files, record = self.files(video), self.folder.record(video.id)
        found = record.of(file) if record else None
        broken = [one for one in files if found is None or not found.holds(self.folder.root, one)]
        if found is not None and not broken:
            if found != record:
                self.folder.keep(video.id, found)
            return found
        if left := next(filter(Path.exists, broken), None):
            what = (
                f"{left} is damaged"
                if found or not record
                else f"{video.path} has another content than {left} is of"
            )
            log.warning("%s: its features are computed anew.", what)
        self.folder.discard(video.id, files)
        return None

    def _write(
        self, video: Listed, file: VideoFile, values: Sequence[np.ndarray], partly: str | None
    ) -> None:
        values = [np.concatenate(values, axis=1)] if self.layout.joins else values
        self.folder.write(video.id, file, dict(zip(self.files(video), values, strict=True)), partly)


class _InProgress:
    """The features of a video that is being read."""

    def __init__(self, job: Job, windows: Windows) -> None:
        self.streams = job.streams
        at_once = max(1, AT_ONCE[job.streams[0].device.type] // job.clip)
        self.sliding = [Sliding(windows, at_once) for _ in job.streams]
        self.found: list[list[Tensor]] = [[] for _ in job.streams]

    def add(self, stretch: _Stretch, meter: Meter) -> None:
        for stream, sliding, found in zip(self.streams, self.sliding, self.found, strict=True):
            for windows in sliding.add(stretch.start, stream.seen(stretch.frames, stretch.count)):
                found.append(stream.features(windows))
                meter.add(windows=len(windows))

    def values(self, video: Listed) -> list[np.ndarray]:
        """The features of each stream, `t c`."""
        values = [torch.cat(found).numpy() for found in self.found]
        if not all(np.isfinite(array).all() for array in values):
            raise InputError(
                f"The features of {video.path} are not finite: the weights are damaged, or not of this "
                "network."
            )
        return values
