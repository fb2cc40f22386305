"""What happens in any video, according to one set of weights."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning.datasets.clips import Frames, RGBFrames, Seen, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError, UnreadableVideoError, check_known
from i3d_lightning.flow import FlowFromFrames, FlowToCome, compute_all
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.predict.maps import ActivationMaps
from i3d_lightning.predict.moments import (
    Moment,
    Part,
    Read,
    best,
    check_every,
    clip_start,
    clips_at,
    parts,
)
from i3d_lightning.recipe import WHOLE, Clips, Flow
from i3d_lightning.training.streams import channels_last, of_whole_videos, prepare
from i3d_lightning.video import decoding, transforms
from i3d_lightning.video.damage import Seen as Noticed
from i3d_lightning.video.damage import watched
from i3d_lightning.weights import create_model
from i3d_lightning.weights.load import load_weights_of

log = logging.getLogger(__name__)

FRAMES_AT_ONCE = {"cpu": 128, "cuda": 1024}
"""Frames of the clips that the network sees together."""


class Predictor:
    """Names the actions in videos, prepared as the weights' test videos were, in float32.

    Args:
        name_or_path: The weights. Where they do not say how videos are prepared, that is as their network
            usually gets them; where they do not name their classes, these are numbered.
        architecture: Their network, where several have the same tensors and the file does not say.

    Raises:
        InputError: There are no such weights, or they cannot predict by themselves.
    """

    def __init__(self, name_or_path: str, architecture: str | None = None) -> None:
        weights = load_weights_of(name_or_path, architecture)
        if weights.stream is None:
            raise InputError(f"{name_or_path} does not say which stream it is for, so it cannot predict.")
        if weights.classes is None:
            raise InputError(f"{name_or_path} has no classifier, so it cannot predict.")
        self.labels = weights.labels or tuple(f"class {i}" for i in range(weights.classes))
        self.architecture = ARCHITECTURES[weights.architecture]
        self.clips = weights.clips or self.architecture.clips
        self.flow = weights.flow or Flow()
        self.sources: list[Frames] = []
        if weights.stream != "flow":
            self.sources.append(RGBFrames.of(self.clips))
        if weights.stream != "rgb":
            self.sources.append(FlowFromFrames(self.clips.fps, self.clips.short_side))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = create_model(weights.architecture, stream=weights.stream, pretrained=name_or_path)
        self.network = channels_last(network).eval().to(self.device)

    @property
    def once(self) -> Clips:
        """How a single view is seen, of which moments and maps are."""
        return replace(self.clips, views=WHOLE)

    def __call__(self, video: str | Path, top: int = 5) -> list[tuple[str, float]]:
        """Give the `top` most probable classes of a video and their probabilities, best first.

        That a video was read only in part, or is so short that it was looped, is said in the log.

        Raises:
            UnreadableVideoError: The video cannot be read.
        """
        probabilities = self._probabilities(self._clips(_video(video), self.clips), self.clips)[0]
        return best(probabilities, self.labels, top)

    def over_time(self, video: str | Path, every: float = 0.5) -> Iterator[Moment]:
        """Give the probabilities of all classes every so many seconds, over the whole of a video, in order.

        The video is parted into moments of `every` seconds, the last of which may be shorter. Each has the
        probabilities of a clip of the length that the weights were trained on, `clips.train_frames`, whose
        middle is the moment's, to the nearest frame; at the ends of the video, where such a clip would stick
        out, of the first and the last that lie within it. A video shorter than a clip is looped to one.

        Frames are decoded as moments are asked for, and few are held at a time: a video may last hours.

        Args:
            video: A video file.
            every: Length of a moment, in seconds: at least a frame's.

        Raises:
            InputError: There are no such moments.
            UnreadableVideoError: The video cannot be read; also while moments are given.
        """
        check_every(every, self.clips.fps)
        return self._over_time(_video(video), every)

    def activation_maps(self, video: str | Path, classes: Iterable[str] | None = None) -> ActivationMaps:
        """Give the logits of classes at every place in time and space, of what `__call__` sees of a video.

        They are exact: the network's logits are their mean with the `shares` of the places, since it averages
        what it sees at each and its last layer is linear.

        Args:
            video: A video file.
            classes: Names of classes; by default the most probable one.

        Raises:
            InputError: There is no such class, or the network does not average over places.
            UnreadableVideoError: The video cannot be read.
        """
        wanted = [] if classes is None else list(classes)
        for label in wanted:
            check_known("class", label, self.labels)
        item = _video(video)
        clips = self._clips(item, self.once)
        try:
            maps = self._maps(clips)
        except NotImplementedError as error:
            raise InputError(
                f"{self.architecture.name} has no class activation maps, as its last layer does not see an "
                "average over places: choose weights of another network."
            ) from error
        shares = self.network.grid_shares(*maps.shape[1:])
        logits = (maps * shares).sum((1, 2, 3))
        wanted = wanted or [self.labels[int(logits.argmax())]]
        shown = [self.labels.index(label) for label in wanted]
        frames = clips[0]
        if self.sources[0].is_flow:
            (frames,) = self._read(item, [RGBFrames.of(self.clips)], self.once)
            frames = frames[:, :, : clips[0].shape[2] // self.clips.snapshot]
        return ActivationMaps(
            labels=tuple(wanted),
            maps=maps[shown],
            shares=shares,
            logits=logits[shown],
            probabilities=logits.softmax(0)[shown],
            frames=frames[0].cpu(),
            seconds=frames.shape[2] * self.clips.snapshot / self.clips.fps,
        )

    def _over_time(self, video: Video, every: float) -> Iterator[Moment]:
        fps, frames, length = self.clips.fps, self.clips.train_frames, self._length(video)
        moments = parts(decoding.length(video.path, fps=fps) / fps, every)
        starts = [clip_start(*moment, fps, frames, length) for moment in moments]
        noticed = Noticed()
        found = self._of_clips(clips_at(sorted(set(starts)), frames, self._reader(video, length, noticed)))
        for (_, alike), probabilities in zip(
            groupby(zip(starts, moments, strict=True), key=lambda pair: pair[0]), found, strict=True
        ):
            for _, (start, end) in alike:
                yield Moment(start, end, probabilities, self.labels)
        _say_partly(video, noticed)

    def _reader(self, video: Video, length: int, noticed: Noticed) -> Read:
        """Make what reads parts of a video, every frame of them, and adds up the damage."""
        sources = [replace(s, snapshot=1) if isinstance(s, RGBFrames) else s for s in self.sources]

        def read(start: int, frames: int) -> list[Tensor]:
            settings = replace(self.once, snapshot=1, train_frames=frames, test_frames=frames)
            with watched() as now:
                clips = self._read(
                    video, [Part(s, s.is_flow, start, frames, length) for s in sources], settings
                )
            if now.damage:
                noticed.add(now.damage)
            return clips

        return read

    def _of_clips(self, clips: Iterator[tuple[int, list[Tensor]]]) -> Iterator[Tensor]:
        """Give the probabilities (k) of each clip, of which a few are seen together."""
        settings = replace(self.once, test_frames=self.clips.train_frames)
        at_once = max(1, FRAMES_AT_ONCE[self.device.type] // self.clips.train_frames)
        middle = slice(self.clips.snapshot // 2, None, self.clips.snapshot)
        while some := [seen for _, seen in islice(clips, at_once)]:
            batch = [
                torch.cat([clip if source.is_flow else clip[:, :, middle] for clip in together])
                for source, together in zip(self.sources, zip(*some, strict=True), strict=True)
            ]
            yield from self._probabilities(batch, settings)

    @torch.inference_mode()
    def _probabilities(self, clips: Sequence[Tensor], settings: Clips) -> Tensor:
        """The probabilities `b k` of batches of clips."""
        return of_whole_videos(self._logits, clips, settings).softmax(dim=1).cpu()

    def _logits(self, *clips: Tensor) -> Tensor:
        return self.network.pool_time(self.network(*(prepare(clip, self.clips) for clip in clips)))

    @torch.inference_mode()
    def _maps(self, clips: Sequence[Tensor]) -> Tensor:
        """The logits of every class at each place, `k t h w`."""
        maps = self._at_places(clips)
        if self.clips.test_flip:
            maps = (maps + self._at_places([transforms.mirror(clip) for clip in clips]).flip(-1)) / 2
        return maps

    def _at_places(self, clips: Sequence[Tensor]) -> Tensor:
        grid = self.network.forward_grid(*(prepare(clip, self.clips) for clip in clips)).float()
        return self.network.forward_head(grid.flatten(2)).unflatten(2, grid.shape[2:])[0].cpu()

    def _clips(self, video: Video, settings: Clips) -> list[Tensor]:
        """What the network sees of a video as it is tested."""
        self._length(video)
        with watched() as noticed:
            clips = self._read(video, self.sources, settings)
        _say_partly(video, noticed)
        return clips

    def _length(self, video: Video) -> int:
        """Count the frames of which there is everything; fewer than a clip's are looped, which is said."""
        length = min(source.length(video.file) for source in self.sources)
        least = min(self.clips.train_frames, self.clips.test_frames)
        if length < least:
            log.warning(
                "%s is looped, since it has %d frames at %g a second and a clip %d.",
                video.path, length, self.clips.fps, least,
            )  # fmt: skip
        return length

    @torch.inference_mode()
    def _read(self, video: Video, sources: Sequence[Frames], settings: Clips) -> list[Tensor]:
        """Read a video as it is tested, each clip as a batch of one on the device; flow is computed now."""
        seen = WholeVideos([video], sources, settings)[0]
        if seen["clips"] is None:
            raise UnreadableVideoError(seen["error"])
        return [self._on_device(clip) for clip in seen["clips"]]

    def _on_device(self, clip: Seen) -> Tensor:
        if isinstance(clip, FlowToCome):
            return compute_all([replace(clip, frames=clip.frames.to(self.device))], self.flow)
        return clip[None].to(self.device)


def _video(path: str | Path) -> Video:
    return Video(str(path), Path(path), 0, "")


def _say_partly(video: Video, noticed: Noticed) -> None:
    if noticed.damage:
        log.warning("%s was partly read: %s", video.path, noticed.damage)
