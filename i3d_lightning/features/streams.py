"""A network that features are taken of: its weights, what it sees of a video, and one of its layers."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from i3d_lightning.datasets.clips import RGBFrames
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.flow import estimate_flow
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.i3d import ENDPOINTS, I3D
from i3d_lightning.networks.network import CHANNELS
from i3d_lightning.networks.registry import check_clips
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.training.streams import channels_last, prepare
from i3d_lightning.video.resizing import centre_place
from i3d_lightning.video.transforms import crop, quantise_flow
from i3d_lightning.weights import WEIGHTS, create_model
from i3d_lightning.weights.load import load_weights_of

LAST = "features"
"""The layer that features are usually of: the input of the last one, averaged over space and time."""

SEES = {"rgb": ("rgb",), "flow": ("flow",), "joint": ("rgb", "flow")}
"""What the networks of a stream see."""


class FeatureStream:
    """The features that one network gives of windows of frames, in float32.

    Args:
        stream: `rgb`, `flow` or `joint`.
        architecture: The network; None takes that of the weights, or `i3d`.
        weights: Their name or path; None takes those published for the network and stream, if there are no
            others.
        endpoint: The layer: `features`, or a stage that `i3d architectures` lists.
        fps: Frame rate of the frames where it is not to be that of the weights, in frames per second.

    Attributes:
        size: Channels of the features.
        sees: What the network sees, in this order: `rgb`, `flow`.

    Raises:
        InputError: They do not go together, or there are none.
    """

    def __init__(
        self,
        stream: str,
        architecture: str | None,
        weights: str | None,
        endpoint: str,
        fps: float | None,
    ) -> None:
        if weights is None:
            weights = _published(architecture or "i3d", stream)
        found = load_weights_of(weights, architecture)
        if found.stream not in (None, stream):
            raise InputError(
                f"{weights} has weights for {found.stream}, but features of {stream} are to be computed: say "
                f"--stream {found.stream}, or give others."
            )
        self.stream, self.weights, self.sees = stream, found, SEES[stream]
        self.architecture = ARCHITECTURES[found.architecture]
        check_known("stream", stream, self.architecture.streams)
        own = found.clips or self.architecture.clips
        self.clips = own if fps is None else replace(own, fps=fps)
        self.warnings = [] if self.clips.fps == own.fps else [_other_rate(weights, own, self.clips)]
        self.flow = (found.flow or Flow()) if "flow" in self.sees else None
        self.endpoint = endpoint
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = create_model(
            found.architecture, classes=found.classes or 1, stream=stream, pretrained=weights
        )
        self.network = channels_last(network).eval().requires_grad_(False).to(self.device)
        self.size = network.feature_size if endpoint == LAST else self._size()

    @property
    def only_clip(self) -> int | None:
        """The frames of a window, where the network is built for that length alone."""
        return self.clips.train_frames if self.architecture.windows else None

    def check(self, clip: int) -> None:
        """Refuse windows of a length that the network does not take.

        Raises:
            InputError: It is too short, or another than the only one.
        """
        name, least = self.architecture.name, self.architecture.smallest[0]
        if self.only_clip not in (None, clip):
            raise InputError(
                f"clip is {clip}, but {name} is built for {self.only_clip} frames alone: leave it out."
            )
        if clip < least:
            raise InputError(f"clip is {clip}, but {name} takes {least} frames or more.")
        check_clips(self.architecture, replace(self.clips, train_frames=clip, test_frames=clip))

    @property
    def source(self) -> RGBFrames:
        """The frames that both RGB and flow are made of, all of them."""
        return RGBFrames.of(replace(self.clips, snapshot=1))

    def seen(self, frames: Shaped[Tensor, "3 t h w"], count: int) -> Shaped[Tensor, "c n s s"]:
        """What the network sees of the first frames: RGB, flow to the next frame, or one above the other.

        Args:
            frames: Whole frames, one more than are counted where it sees flow.
            count: How many are counted.
        """
        size = self.clips.test_side
        place = centre_place(frames.shape, size, self.clips.interpolation)
        seen = []
        if "rgb" in self.sees:
            seen.append(crop(frames[:, :count], *place, size))
        if self.flow is not None:
            (fields,) = estimate_flow(frames[None, :, : count + 1].to(self.device), self.flow)
            seen.append(crop(quantise_flow(fields, self.flow.bound), *place, size).cpu())
        return torch.cat(seen).contiguous()

    @torch.inference_mode()
    def features(self, windows: Shaped[Tensor, "n c t s s"]) -> Float32[Tensor, "n f"]:
        """The features of each window, averaged over space and time."""
        inputs = []
        for kind, part in zip(
            self.sees, windows.split([CHANNELS[kind] for kind in self.sees], dim=1), strict=True
        ):
            if kind == "rgb":
                part = part[:, :, self.clips.snapshot // 2 :: self.clips.snapshot]
            inputs.append(prepare(part.to(self.device), self.clips))
        return self._layer(*inputs).cpu()

    def _layer(self, *inputs: Float[Tensor, "b c t h w"]) -> Float32[Tensor, "b f"]:
        if self.endpoint == LAST:
            return self.network.pool_time(self.network.forward_features(*inputs).float())
        (clip,) = inputs
        (found,) = cast(I3D, self.network).endpoints(clip, [self.endpoint]).values()
        return found.float().flatten(2).mean(2)

    @torch.inference_mode()
    def _size(self) -> int:
        """Count the channels of an endpoint, by computing it once of the smallest clip."""
        if not isinstance(self.network, I3D):
            raise InputError(
                f"{self.architecture.name} has no endpoints but '{LAST}', not '{self.endpoint}'."
            )
        check_known("endpoint", self.endpoint, (LAST, *ENDPOINTS))
        frames, side = self.architecture.smallest
        (kind,) = self.sees
        return self._layer(torch.zeros(1, CHANNELS[kind], frames, side, side, device=self.device)).shape[1]


def _published(architecture: str, stream: str) -> str:
    """The only weights that are published for a network and stream."""
    check_known("stream", stream, ARCHITECTURES[architecture].streams)
    names = [e.name for e in WEIGHTS if (e.architecture, e.stream) == (architecture, stream)]
    if len(names) != 1:
        there = f"one of {', '.join(names)}, or a path" if names else "a path, since none are published"
        raise InputError(f"Say which weights of {architecture} for {stream}: --weights with {there}.")
    return names[0]


def _other_rate(weights: str, own: Clips, clips: Clips) -> str:
    return f"frames are {clips.fps:g} a second, but those that {weights} was trained on were {own.fps:g}"
