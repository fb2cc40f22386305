"""What happens in any video, according to one set of weights."""

from __future__ import annotations

from pathlib import Path

import torch

from i3d_lightning import architectures
from i3d_lightning.plan import TVL1, Clips, InputError, Training
from i3d_lightning.streams import prepare
from i3d_lightning.video.decoding import read_video
from i3d_lightning.video.flow import compute_flow, grey
from i3d_lightning.video.transforms import centre_crop, quantise_flow
from i3d_lightning.weights import apply_weights, load_weights


class Predictor:
    """Names the actions in videos, at the test preprocessing of the weights and in float32.

    Args:
        name_or_path: The weights; they must say what their classes are called.

    Raises:
        InputError: There are no such weights, or they cannot predict by themselves.
    """

    def __init__(self, name_or_path: str) -> None:
        self.weights = load_weights(name_or_path)
        if self.weights.stream not in architectures.CHANNELS:
            raise InputError(f"{name_or_path} does not say which stream it is for, so it cannot predict.")
        classes = len(self.weights.state["classifier.bias"])
        self.labels = self.weights.labels or tuple(f"class {i}" for i in range(classes))
        self.clips = self.weights.clips or Clips()
        channels = architectures.CHANNELS[self.weights.stream]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = architectures.spec(self.weights.architecture).network(classes, channels, Training())
        apply_weights(network, self.weights, classifier=True)
        network = network.to(memory_format=torch.channels_last_3d)
        self.network = network.eval().to(self.device)

    def __call__(self, video: Path, top: int = 5) -> list[tuple[str, float]]:
        """The `top` most probable classes of a video, best first.

        Raises:
            InputError: The video cannot be read.
        """
        clips = self.clips
        if self.weights.stream == "rgb":
            frames = read_video(video, fps=clips.fps, short_side=clips.short_side, most=clips.test_frames)
        else:  # flow has one field less than there are frames
            rgb = read_video(video, fps=clips.fps, short_side=clips.short_side, most=clips.test_frames + 1)
            settings = self.weights.flow or TVL1()
            frames = quantise_flow(compute_flow(grey(rgb), settings), settings.bound)
        clip = centre_crop(frames, clips.crop)[None].to(self.device)
        with torch.inference_mode():
            probabilities = self.network(prepare(clip)).mean(dim=2).softmax(dim=1)[0]
        best = probabilities.topk(min(top, len(probabilities)))
        return [(self.labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
