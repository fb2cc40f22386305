"""What happens in any video, according to one set of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from i3d_lightning import architectures
from i3d_lightning.datasets.clips import Frames, RGBFrames, WholeVideos
from i3d_lightning.datasets.videos import Video
from i3d_lightning.plan import TVL1, Clips, InputError, Training
from i3d_lightning.streams import channels_last, prepare
from i3d_lightning.video import decoding
from i3d_lightning.video.flow import compute_flow, grey
from i3d_lightning.video.transforms import quantise_flow
from i3d_lightning.weights import apply_weights, load_weights


@dataclass(frozen=True)
class FlowFrames:
    """Flow fields of videos, computed as they are read and kept nowhere."""

    settings: TVL1
    fps: float
    short_side: int
    is_flow = True

    def length(self, path: Path) -> int:
        return decoding.length(path, fps=self.fps) - 1

    def read(self, path: Path, start: int, frames: int) -> Tensor:
        fields = min(frames, self.length(path))
        if not fields:
            raise InputError(f"{path} has a single frame and therefore no flow.")
        rgb = decoding.read_clip(path, start, fields + 1, fps=self.fps, short_side=self.short_side)
        flow = quantise_flow(compute_flow(grey(rgb), self.settings), self.settings.bound)
        return flow[:, torch.arange(frames) % fields]


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
            flow = weights.flow or TVL1()
            self.sources.append(FlowFrames(flow, self.clips.fps, self.clips.short_side))
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
            clips = [prepare(clip[None].to(self.device)) for clip in item["clips"]]
            probabilities = self.network.over_steps(self.network(*clips)).softmax(dim=1)[0]
        best = probabilities.topk(min(top, len(probabilities)))
        return [(self.labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
