"""Videos as items to train, validate and test on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, NotRequired, Protocol, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow import FlowToCome
from i3d_lightning.recipe import FFMPEG, WHOLE, Clips
from i3d_lightning.video import decoding, resizing, sampling, transforms
from i3d_lightning.video.damage import Damage, watched
from i3d_lightning.video.file import VideoFile

_ATTEMPTS = 16
"""Videos tried before training gives up: so many in a row mean a wrong folder, not a bad file."""

_DISTORTION = 0.02
"""Share by which the longer sides of RGB and flow may differ: flow images of 4:3 are usually 340x256 px."""

Seen = Tensor | FlowToCome
"""What a network sees of a video: uint8 `c t h w`, or flow to come."""
SeenTogether = Tensor | list[FlowToCome]
"""What it sees of several: stacked, `b c t h w`, but for flow to come, whose frames may differ in size."""


class Clip(TypedDict):
    """A video to train or validate on.

    Attributes:
        clips: One for each thing that the network sees; None where no video could be read.
        label: Index of its class.
        index: Index of the video, which may be another than that asked for.
        unreadable: For each video tried before, its id and why it could not be read.
        partly: The video's id and its damage, where it could be read only in part.
    """

    clips: tuple[Seen, ...] | None
    label: int
    index: int
    unreadable: dict[str, str]
    partly: dict[str, Damage]


class WholeVideo(TypedDict):
    """A video to test.

    Attributes:
        clips: One for each thing that the network sees; None where it cannot be read.
        label: Index of its class.
        index: Index of the video.
        error: Why it cannot be read.
        partly: How much of it was read, where not all: "28 of 139 frames".
        looped: Whether it is shorter than a training clip, and was looped to one.
    """

    clips: tuple[Seen, ...] | None
    label: int
    index: int
    error: str | None
    partly: str | None
    looped: bool


class Batch(TypedDict):
    """Clips to train or validate on.

    Attributes:
        clips: One batch for each thing that the network sees; None where too many videos cannot be read.
        label: Indices of their classes (b).
        index: Indices of the videos (b).
        unreadable: Id of a video that could not be read -> why; the data module takes it out and says it.
        partly: Id of a video that could be read only in part -> its damage; the data module takes it out too.
    """

    clips: tuple[SeenTogether, ...] | None
    label: Tensor
    index: Tensor
    unreadable: NotRequired[dict[str, str]]
    partly: NotRequired[dict[str, Damage]]


class Group(TypedDict):
    """Whole videos of one size."""

    clips: tuple[SeenTogether, ...]
    index: Tensor


class WholeBatch(TypedDict):
    """Whole videos to test.

    Attributes:
        groups: Those of one size together.
        unreadable: Index of a video that cannot be read -> why.
        partly: Index of a video that was read only in part -> how much of it.
        looped: Indices of videos that were looped, as they are shorter than a training clip.
    """

    groups: list[Group]
    unreadable: dict[int, str]
    partly: dict[int, str]
    looped: list[int]


class Frames(Protocol):
    """What a network sees of a video, frames or flow fields, addressed alike.

    `read` gives what lies within as many frames of video as asked for, looped where there are fewer, or after
    `period`. Both raise UnreadableVideoError where the video cannot be read, and any other InputError to stop
    the run.
    """

    is_flow: bool

    def length(self, video: VideoFile) -> int: ...

    def read(self, video: VideoFile, start: int, frames: int, period: int | None = None) -> Seen: ...


@dataclass(frozen=True)
class RGBFrames:
    """The frames of videos.

    Attributes:
        fps: Frame rate that they are resampled to, in frames per second.
        short_side: Length of their shorter side, in pixels.
        snapshot: The middle one of so many is taken.
        aspect: Width / height that they are squeezed to; 0 keeps theirs.
        interpolation: How they are resized, see `recipe.Clips`.
    """

    fps: float
    short_side: int
    snapshot: int = 1
    aspect: float = 0.0
    interpolation: str = FFMPEG
    is_flow = False

    @classmethod
    def of(cls, clips: Clips) -> RGBFrames:
        """Take the frames that settings ask for."""
        return cls(clips.fps, clips.short_side, clips.snapshot, clips.aspect, clips.interpolation)

    def length(self, video: VideoFile) -> int:
        video.check()
        return decoding.length(video.path, fps=self.fps, segment=video.segment)

    def read(self, video: VideoFile, start: int, frames: int, period: int | None = None) -> Tensor:
        video.check()
        how: dict[str, Any] = {"interpolation": self.interpolation} if self.interpolation != FFMPEG else {}
        read = resizing.read_resized if how else decoding.read_clip
        return read(
            video.path,
            start + self.snapshot // 2,
            frames // self.snapshot,
            fps=self.fps,
            short_side=self.short_side,
            aspect=self.aspect,
            step=self.snapshot,
            period=period,
            segment=video.segment,
            **how,
        )


def _length(sources: Sequence[Frames], video: Video) -> int:
    """Count the frames of a video of which there is everything: flow has one field less."""
    return min(source.length(video.file) for source in sources)


def _read(sources: Sequence[Frames], video: Video, start: int, frames: int, length: int) -> list[Seen]:
    """Read the same part of a video of some length from each source; a short one starts again in all at once.

    Raises:
        InputError: What they have differs in shape, so that one place in it is not the same in the other.
    """
    seen = [source.read(video.file, start, frames, length) for source in sources]
    (height, width), *others = [clip.shape[-2:] for clip in seen]
    for h, w in others:
        if max(abs(h - height), abs(w - width)) > max(2, _DISTORTION * max(height, width)):
            raise InputError(
                f"The frames of {video.path} are {width}x{height} px, but its flow is {w}x{h} px: get flow "
                "images of the same shape, or have flow computed."
            )
    return seen


@dataclass(frozen=True)
class TrainingClips(Dataset[Clip]):
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

    def __getitem__(self, draw: int) -> Clip:
        return _first_readable(self.videos, self._candidates(draw), lambda video: self._clips(video, draw))

    def _candidates(self, draw: int) -> Iterator[int]:
        pass_, position = divmod(draw, len(self.videos))
        yield _order(len(self.videos), self.seed, pass_)[position]
        replacements = sampling.draw_generator(self.seed, draw, "replacement")
        while True:
            yield int(torch.randint(len(self.videos), (), generator=replacements))

    def _clips(self, video: Video, draw: int) -> tuple[Seen, ...]:
        generator = sampling.draw_generator(self.seed, draw, video.id)
        length = _length(self.sources, video)
        start = sampling.random_start(length, self.clips.train_frames, generator)
        seen = _read(self.sources, video, start, self.clips.train_frames, length)
        smallest = min((clip.shape for clip in seen), key=lambda shape: shape[-2:].numel())
        place = transforms.random_place(smallest, self.clips.crop, generator)
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
    """Cut a square out of a clip, mirrored or not; out of flow to come, once it is there."""
    if isinstance(clip, FlowToCome):
        return replace(clip, place=(top, left, size), mirrored=mirrored)
    clip = transforms.crop(clip, top, left, size)
    if mirrored:
        clip = transforms.flip_flow(clip) if is_flow else transforms.flip(clip)
    return clip.contiguous()


def _cut_centre(clip: Seen, size: int, clips: Clips) -> Seen:
    place = resizing.centre_place(clip.shape, size, clips.interpolation)
    return _cut(clip, *place, size, False, False)


@lru_cache(maxsize=2)
def _order(videos: int, seed: int, pass_: int) -> list[int]:
    return sampling.permutation(videos, seed, pass_)


@dataclass(frozen=True)
class CentreClips(Dataset[Clip]):
    """For each video the clip of training length in its middle; an unreadable one is replaced by the next."""

    videos: Sequence[Video]
    sources: Sequence[Frames]
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Clip:
        return _first_readable(
            self.videos, ((index + step) % len(self) for step in range(len(self))), self._clips
        )

    def _clips(self, video: Video) -> tuple[Seen, ...]:
        length = _length(self.sources, video)
        start = sampling.centre_start(length, self.clips.train_frames)
        seen = _read(self.sources, video, start, self.clips.train_frames, length)
        return tuple(_cut_centre(clip, self.clips.crop, self.clips) for clip in seen)


@dataclass(frozen=True)
class WholeVideos(Dataset[WholeVideo]):
    """Every video as it is tested: all of it or its first `test_frames`, cropped in the centre, or its views.

    One shorter than a training clip is looped to that length. Views follow each other in time, see
    `training.streams.of_whole_videos`. One that cannot be read has no clips, but an `error`.
    """

    videos: Sequence[Video]
    sources: Sequence[Frames]
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> WholeVideo:
        video = self.videos[index]
        item: WholeVideo = {
            "clips": None,
            "label": video.label,
            "index": index,
            "error": None,
            "partly": None,
            "looped": False,
        }
        try:
            with watched() as seen:
                length = _length(self.sources, video)
                item["looped"] = length < self._least
                item["clips"] = self._clips(video, length)
            if seen.damage:
                item["partly"] = str(seen.damage)
        except UnreadableVideoError as error:
            item["error"] = str(error)
        return item

    @property
    def _least(self) -> int:
        """The fewest frames that are seen of a video."""
        return min(self.clips.train_frames, self.clips.test_frames)

    def _clips(self, video: Video, length: int) -> tuple[Seen, ...]:
        if self.clips.views != WHOLE:
            return self._views(video, length)
        frames = min(length, self.clips.test_frames)
        frames = max(frames - frames % self.clips.snapshot, self._least)
        seen = _read(self.sources, video, 0, frames, length)
        return tuple(_cut_centre(clip, self.clips.test_side, self.clips) for clip in seen)

    def _views(self, video: Video, length: int) -> tuple[Seen, ...]:
        """Clips of training length at equal distances from the first to the last, and squares of each."""
        count, squares = self.clips.clips_and_squares
        frames, size = self.clips.train_frames, self.clips.test_side
        views: list[tuple[Tensor, ...]] = []
        for start in sampling.spread_starts(length, frames, count):
            seen = _read(self.sources, video, start, frames, length)
            if any(isinstance(clip, FlowToCome) for clip in seen):
                raise InputError(
                    "clips.views needs flow that is stored: say flow.source 'stored', or drop the views."
                )
            if squares == 1:
                views.append(tuple(_cut_centre(clip, size, self.clips) for clip in seen))  # type: ignore[misc]
                continue
            places = [transforms.side_places(clip.shape, size) for clip in seen]
            views += [
                tuple(transforms.crop(clip, *place, size) for clip, place in zip(seen, at, strict=True))  # type: ignore[arg-type,call-arg]
                for at in zip(*places, strict=True)
            ]
        return tuple(torch.cat(clips, dim=1) for clips in zip(*views, strict=True))


def _first_readable(
    videos: Sequence[Video], candidates: Iterator[int], read: Callable[[Video], tuple[Seen, ...]]
) -> Clip:
    """Read the clips of the first candidate that can be read, and why those before it could not be."""
    unreadable: dict[str, str] = {}
    for index in islice(candidates, _ATTEMPTS):
        video = videos[index]
        try:
            with watched() as seen:
                clips = read(video)
        except UnreadableVideoError as error:
            unreadable[video.id] = str(error)
            continue
        partly = {video.id: seen.damage} if seen.damage else {}
        return {
            "clips": clips,
            "label": video.label,
            "index": index,
            "unreadable": unreadable,
            "partly": partly,
        }
    return {"clips": None, "label": -1, "index": -1, "unreadable": unreadable, "partly": {}}


def collate(items: Sequence[Clip]) -> Batch:
    """Make a batch of clips, without any `clips` where one of them could not be read."""
    seen = [item["clips"] for item in items]
    readable = [clips for clips in seen if clips is not None]
    return {
        "clips": _together(readable) if len(readable) == len(seen) else None,
        "label": torch.tensor([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
        "unreadable": {id_: why for item in items for id_, why in item["unreadable"].items()},
        "partly": worst(item["partly"] for item in items),
    }


def worst(accounts: Iterable[Mapping[str, Damage]]) -> dict[str, Damage]:
    """Keep for each video the reading of which the least was there."""
    found: dict[str, Damage] = {}
    for account in accounts:
        for id_, damage in account.items():
            found[id_] = min(found.get(id_, damage), damage, key=lambda d: d.read / d.of)
    return found


def collate_whole(items: Sequence[WholeVideo]) -> WholeBatch:
    """Make a batch of whole videos."""
    alike: dict[tuple[torch.Size, ...], list[tuple[int, tuple[Seen, ...]]]] = defaultdict(list)
    for item in items:
        if item["clips"] is not None:
            alike[tuple(clip.shape for clip in item["clips"])].append((item["index"], item["clips"]))
    return {
        "groups": [
            {
                "clips": _together([clips for _, clips in group]),
                "index": torch.tensor([index for index, _ in group]),
            }
            for group in alike.values()
        ],
        "unreadable": {item["index"]: item["error"] for item in items if item["error"] is not None},
        "partly": {item["index"]: item["partly"] for item in items if item["partly"] is not None},
        "looped": [item["index"] for item in items if item["looped"]],
    }


def _together(videos: Sequence[tuple[Seen, ...]]) -> tuple[SeenTogether, ...]:
    return tuple(
        list(clips) if isinstance(clips[0], FlowToCome) else torch.stack(clips)  # type: ignore[arg-type]
        for clips in zip(*videos, strict=True)
    )
