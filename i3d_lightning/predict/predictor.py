"""What happens in any video, according to one set of weights."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning.datasets.clips import Frames, RGBFrames, Seen, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.flow import FlowFromFrames, FlowToCome, compute_all
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.recipe import Flow
from i3d_lightning.training.streams import channels_last, of_whole_videos, prepare
from i3d_lightning.weights import create_model, load_weights

log = logging.getLogger(__name__)


class Predictor:
    """Names the actions in videos, prepared as the weights' test videos were, in float32.

    Args:
        name_or_path: The weights. Where they do not say how videos are prepared, that is as their network
            usually gets them; where they do not name their classes, these are numbered.

    Raises:
        InputError: There are no such weights, or they cannot predict by themselves.
    """

    def __init__(self, name_or_path: str) -> None:
        weights = load_weights(name_or_path)
        if weights.stream is None:
            raise InputError(f"{name_or_path} does not say which stream it is for, so it cannot predict.")
        if weights.classes is None:
            raise InputError(f"{name_or_path} has no classifier, so it cannot predict.")
        self.labels = weights.labels or tuple(f"class {i}" for i in range(weights.classes))
        self.clips = weights.clips or ARCHITECTURES[weights.architecture].clips
        self.flow = weights.flow or Flow()
        self.sources: list[Frames] = []
        if weights.stream != "flow":
            self.sources.append(RGBFrames.of(self.clips))
        if weights.stream != "rgb":
            self.sources.append(FlowFromFrames(self.clips.fps, self.clips.short_side))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = create_model(weights.architecture, stream=weights.stream, pretrained=name_or_path)
        self.network = channels_last(network).eval().to(self.device)

    def __call__(self, video: str | Path, top: int = 5) -> list[tuple[str, float]]:
        """Give the `top` most probable classes of a video and their probabilities, best first.

        That a video was read only in part is said in the log.

        Raises:
            UnreadableVideoError: The video cannot be read.
        """
        item = WholeVideos([Video(str(video), Path(video), 0, "")], self.sources, self.clips)[0]
        if item["clips"] is None:
            raise UnreadableVideoError(item["error"])
        if item["partly"] is not None:
            log.warning("%s was partly read: %s", video, item["partly"])
        with torch.inference_mode():
            clips = [self._on_device(clip) for clip in item["clips"]]
            probabilities = of_whole_videos(self._logits, clips, self.clips).softmax(dim=1)[0]
        best = probabilities.topk(min(top, len(probabilities)))
        return [(self.labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]

    def _logits(self, *clips: Tensor) -> Tensor:
        return self.network.pool_time(self.network(*(prepare(clip, self.clips) for clip in clips)))

    def _on_device(self, clip: Seen) -> Tensor:
        """Make a batch of one of it; flow is computed now."""
        if isinstance(clip, FlowToCome):
            return compute_all([replace(clip, frames=clip.frames.to(self.device))], self.flow)
        return clip[None].to(self.device)
