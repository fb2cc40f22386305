"""What happens in any video, according to one set of weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning import architectures
from i3d_lightning.datasets.clips import Frames, RGBFrames, Seen, WholeVideos
from i3d_lightning.datasets.videos import Video
from i3d_lightning.plan import Clips, Flow, InputError, Training
from i3d_lightning.streams import channels_last, prepare
from i3d_lightning.video.flow import FlowFromFrames, FlowToCome, compute_all
from i3d_lightning.weights import apply_weights, load_weights


class Predictor:
    """Names the actions in videos, at the test preprocessing of the weights and in float32.

    Args:
        name_or_path: The weights; they must say what their classes are called.

    Raises:
        InputError: There are no such weights, or they cannot predict by themselves.
    """

    def __init__(self, name_or_path: str) -> None:
        weights = load_weights(name_or_path)
        if weights.stream is None:
            raise InputError(f"{name_or_path} does not say which stream it is for, so it cannot predict.")
        classes = len(weights.state["classifier.bias"])
        self.labels = weights.labels or tuple(f"class {i}" for i in range(classes))
        self.clips = weights.clips or Clips()
        self.sources: list[Frames] = []
        if weights.stream != "flow":
            self.sources.append(RGBFrames(self.clips.fps, self.clips.short_side, self.clips.snapshot))
        if weights.stream != "rgb":
            self.sources.append(FlowFromFrames(self.clips.fps, self.clips.short_side))
        self.flow = weights.flow or Flow()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        build = architectures.spec(weights.architecture).network
        network = build(classes, weights.stream, Training(), self.clips)
        apply_weights(network, weights, classifier=True)
        self.network = channels_last(network).eval().to(self.device)

    def __call__(self, video: Path, top: int = 5) -> list[tuple[str, float]]:
        """The `top` most probable classes of a video, best first.

        Raises:
            InputError: The video cannot be read.
        """
        item = WholeVideos([Video(str(video), video, 0, "")], self.sources, self.clips)[0]
        if item["error"]:
            raise InputError(item["error"])
        with torch.inference_mode():
            clips = [prepare(self._on_device(clip)) for clip in item["clips"]]
            probabilities = self.network.over_steps(self.network(*clips)).softmax(dim=1)[0]
        best = probabilities.topk(min(top, len(probabilities)))
        return [(self.labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]

    def _on_device(self, clip: Seen) -> Tensor:
        """As a batch of one; flow is computed now."""
        if isinstance(clip, FlowToCome):
            return compute_all([replace(clip, frames=clip.frames.to(self.device))], self.flow)
        return clip[None].to(self.device)
