"""Videos as items to train, validate and test on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from i3d_lightning.datasets.videos import Video
from i3d_lightning.plan import Clips, InputError
from i3d_lightning.video import decoding, sampling, transforms
from i3d_lightning.video.flow import FlowToCome

_ATTEMPTS = 16
"""Videos tried before training gives up: so many in a row mean a wrong folder, not a bad file."""

Item = dict[str, Any]
Seen = Tensor | FlowToCome


class Frames(Protocol):
    """What a network sees of a video, frames or flow fields, addressed alike.

    `read` gives what lies within as many frames of video as asked for, uint8 `c t h w`, or what that
    will be computed from.
    """

    is_flow: bool

    def length(self, path: Path) -> int: ...

    def read(self, path: Path, start: int, frames: int) -> Seen: ...


@dataclass(frozen=True)
class RGBFrames:
    """The frames of videos.

    Attributes:
        fps: Frame rate that they are resampled to, in frames per second.
        short_side: Length of their shorter side, in pixels.
        snapshot: The middle one of so many is taken.
    """

    fps: float
    short_side: int
    snapshot: int = 1
    is_flow = False

    def length(self, path: Path) -> int:
        return decoding.length(path, fps=self.fps)

    def read(self, path: Path, start: int, frames: int) -> Tensor:
        return decoding.read_clip(
            path,
            start + self.snapshot // 2,
            frames // self.snapshot,
            fps=self.fps,
            short_side=self.short_side,
            step=self.snapshot,
        )


def _length(sources: Sequence[Frames], path: Path) -> int:
    """Of a video, in frames: flow has one field less."""
    return min(source.length(path) for source in sources)


def _read(sources: Sequence[Frames], path: Path, start: int, frames: int) -> list[Seen]:
    return [source.read(path, start, frames) for source in sources]


@dataclass(frozen=True)
class TrainingClips(Dataset[Item]):
    """Random clips, addressed by their number in the whole run: pass after pass over the videos.

    What a number gives depends on the seed alone, not on which clips were drawn before. A video
    that cannot be read is replaced by another and named under `unreadable`.

    Attributes:
        videos: Videos to draw from.
        sources: What the network sees of them; crop and flip are the same for all.
        clips: Length, crop and augmentation.
        seed: Seed of order and augmentation.
    """

    videos: Sequence[Video]
    sources: Sequence[Frames]
    clips: Clips
    seed: int

    def __getitem__(self, draw: int) -> Item:
        return _first_readable(self.videos, self._candidates(draw), lambda video: self._clips(video, draw))

    def _candidates(self, draw: int) -> Iterator[int]:
        pass_, position = divmod(draw, len(self.videos))
        yield _order(len(self.videos), self.seed, pass_)[position]
        replacements = sampling.draw_generator(self.seed, draw, "replacement")
        while True:
            yield int(torch.randint(len(self.videos), (), generator=replacements))

    def _clips(self, video: Video, draw: int) -> tuple[Seen, ...]:
        generator = sampling.draw_generator(self.seed, draw, video.id)
        length = _length(self.sources, video.path)
        start = sampling.random_start(length, self.clips.train_frames, generator)
        seen = _read(self.sources, video.path, start, self.clips.train_frames)
        place = transforms.random_place(seen[0].shape, self.clips.crop, generator)
        mirrored = self.clips.flip and bool(torch.rand((), generator=generator) < 0.5)
        return tuple(
            self._jitter(
                _cut(clip, *place, self.clips.crop, source.is_flow, mirrored), source.is_flow, generator
            )
            for source, clip in zip(self.sources, seen, strict=True)
        )

    def _jitter(self, clip: Seen, is_flow: bool, generator: torch.Generator) -> Seen:
        if isinstance(clip, FlowToCome) or is_flow or not self.clips.photometric_jitter:
            return clip
        return transforms.photometric_jitter(clip, self.clips.photometric_jitter, generator).contiguous()


def _cut(clip: Seen, top: int, left: int, size: int, is_flow: bool, mirrored: bool) -> Seen:
    """A square of a clip, mirrored or not; of flow to come, once it is there."""
    if isinstance(clip, FlowToCome):
        return replace(clip, place=(top, left, size), mirrored=mirrored)
    clip = transforms.crop(clip, top, left, size)
    if mirrored:
        clip = transforms.flip_flow(clip) if is_flow else transforms.flip(clip)
    return clip.contiguous()


def _cut_centre(clip: Seen, size: int) -> Seen:
    return _cut(clip, *transforms.centre_place(clip.shape, size), size, False, False)


@lru_cache(maxsize=2)
def _order(videos: int, seed: int, pass_: int) -> list[int]:
    return sampling.permutation(videos, seed, pass_)


@dataclass(frozen=True)
class CentreClips(Dataset[Item]):
    """For each video the clip of training length in its middle; an unreadable one is replaced by the next."""

    videos: Sequence[Video]
    sources: Sequence[Frames]
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Item:
        return _first_readable(
            self.videos, ((index + step) % len(self) for step in range(len(self))), self._clips
        )

    def _clips(self, video: Video) -> tuple[Seen, ...]:
        start = sampling.centre_start(_length(self.sources, video.path), self.clips.train_frames)
        seen = _read(self.sources, video.path, start, self.clips.train_frames)
        return tuple(_cut_centre(clip, self.clips.crop) for clip in seen)


@dataclass(frozen=True)
class WholeVideos(Dataset[Item]):
    """Every video as it is tested: all of it up to `test_frames` from its middle, cropped in the centre.

    One shorter than a training clip is looped to that length. One that cannot be read has no clips,
    but an `error`.
    """

    videos: Sequence[Video]
    sources: Sequence[Frames]
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Item:
        video = self.videos[index]
        try:
            return {"clips": self._clips(video), "label": video.label, "index": index, "error": None}
        except InputError as error:
            return {"clips": None, "label": video.label, "index": index, "error": str(error)}

    def _clips(self, video: Video) -> tuple[Seen, ...]:
        length = _length(self.sources, video.path)
        frames = min(length, self.clips.test_frames)
        frames = max(
            frames - frames % self.clips.snapshot, min(self.clips.train_frames, self.clips.test_frames)
        )
        seen = _read(self.sources, video.path, sampling.centre_start(length, frames), frames)
        return tuple(_cut_centre(clip, self.clips.crop) for clip in seen)


def _first_readable(
    videos: Sequence[Video], candidates: Iterator[int], read: Callable[[Video], tuple[Seen, ...]]
) -> Item:
    """The clips of the first candidate that can be read, and why those before it could not be."""
    unreadable: dict[str, str] = {}
    for index in islice(candidates, _ATTEMPTS):
        try:
            seen = read(videos[index])
            return {"clips": seen, "label": videos[index].label, "index": index, "unreadable": unreadable}
        except InputError as error:
            unreadable[videos[index].id] = str(error)
    return {"clips": None, "label": -1, "index": -1, "unreadable": unreadable}


def collate(items: Sequence[Item]) -> Item:
    """Readable items as a batch.

    That is `clips` (uint8 `b c t h w` for each thing the network sees, or a list of flow to come), `label`
    and `index` (b), and `unreadable`.
    """
    if any(item["clips"] is None for item in items):
        clips = None
    else:
        clips = tuple(_together(same) for same in zip(*(item["clips"] for item in items), strict=True))
    return {
        "clips": clips,
        "label": torch.tensor([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
        "unreadable": {id_: why for item in items for id_, why in item["unreadable"].items()},
    }


def _together(clips: Sequence[Seen]) -> Tensor | list[Seen]:
    """Stacked, but for flow to come, whose frames may differ in size."""
    return list(clips) if isinstance(clips[0], FlowToCome) else torch.stack(list(clips))  # type: ignore[arg-type]


def collate_whole(items: Sequence[Item]) -> Item:
    """Whole videos as a batch.

    That is `groups` of videos of one size, each with its `clips` and `index` as `collate` has them, and
    `unreadable`: index of a video -> why.
    """
    alike: dict[tuple[torch.Size, ...], list[Item]] = defaultdict(list)
    for item in items:
        if item["error"] is None:
            alike[tuple(clip.shape for clip in item["clips"])].append(item)
    return {
        "groups": [
            {
                "clips": tuple(_together(same) for same in zip(*(i["clips"] for i in group), strict=True)),
                "index": torch.tensor([item["index"] for item in group]),
            }
            for group in alike.values()
        ],
        "unreadable": {item["index"]: item["error"] for item in items if item["error"] is not None},
    }
