"""The paper's architectures as data (Table 1): name -> network, streams and clips.

A network is a `networks.network.VideoNetwork`: `forward_features(*clips)` gives `b f s` (s time
steps), `forward_head(features)` gives logits `b k s`, `forward` is both, `reset_classifier(classes)`
replaces the last layer and `feature_size` is f. A further architecture is one file under
`networks/` and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from i3d_lightning import plan
from i3d_lightning.networks.c3d import C3D
from i3d_lightning.networks.convnet import ConvNet
from i3d_lightning.networks.convnet_lstm import ConvNetLSTM
from i3d_lightning.networks.fused_3d import SNAPSHOTS, Fused3D
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.networks.inception import Inception
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.networks.two_stream import FIELDS, TwoStream
from i3d_lightning.plan import Clips, Stream, Training

Build = Callable[[int, Stream, Training, Clips], VideoNetwork]


@dataclass(frozen=True)
class Spec:
    """One row of Table 1.

    Attributes:
        title: The paper's name for it.
        row: The paper's letter for it.
        clips: Its training and test clips.
        smallest: The shortest and smallest clip that it takes, in frames and pixels.
        network: Builds it from classes, stream, how it is trained and what clips it gets.
    """

    title: str
    row: str
    clips: Clips
    smallest: tuple[int, int]
    network: Build


CHANNELS = {"rgb": 3, "flow": 2}
"""Channels of a clip: red, green, blue; or horizontal and vertical displacement."""


def _convnet(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    return ConvNet(classes, CHANNELS[stream], training.dropout, training.batchnorm_momentum)


def _convnet_lstm(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    steps = clips.train_frames // clips.snapshot
    return ConvNetLSTM(classes, training.dropout, training.batchnorm_momentum, steps)


def _c3d(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    return C3D(classes, training.dropout, training.batchnorm_momentum, clips.crop)


def _two_stream(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    return TwoStream(classes, stream, training.dropout, training.batchnorm_momentum)


def _fused_3d(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    return Fused3D(classes, stream, training.dropout, training.batchnorm_momentum)


def _i3d(classes: int, stream: Stream, training: Training, clips: Clips) -> VideoNetwork:
    return I3D(classes, CHANNELS[stream], training.dropout, training.batchnorm_momentum)


ARCHITECTURES: dict[plan.Architecture, Spec] = {
    "convnet": Spec("ConvNet", "-", Clips(train_frames=1, test_frames=1), (1, 32), _convnet),
    "convnet-lstm": Spec(
        "ConvNet+LSTM", "(a)", Clips(train_frames=125, test_frames=250, snapshot=5), (1, 32), _convnet_lstm
    ),
    "c3d": Spec(
        "3D-ConvNet",
        "(b)",
        Clips(short_side=128, crop=112, train_frames=16, test_frames=240),
        (16, 32),
        _c3d,
    ),
    "two-stream": Spec(
        "Two-Stream",
        "(c)",
        Clips(train_frames=FIELDS, test_frames=250, snapshot=FIELDS),
        (FIELDS, 32),
        _two_stream,
    ),
    "fused-3d": Spec(
        "3D-Fused",
        "(d)",
        Clips(train_frames=SNAPSHOTS * FIELDS, test_frames=250, snapshot=FIELDS),
        (FIELDS, 32),
        _fused_3d,
    ),
    "i3d": Spec("Two-Stream I3D", "(e)", Clips(train_frames=64, test_frames=250), (9, 32), _i3d),
}


def spec(architecture: str) -> Spec:
    """The row of Table 1 with this name.

    Raises:
        InputError: There is no such architecture.
    """
    plan.check_known("architecture", architecture, ARCHITECTURES)
    return ARCHITECTURES[architecture]  # type: ignore[index]


def build(experiment: plan.Experiment, classes: int, recipe: plan.Recipe) -> VideoNetwork:
    """The network of an experiment, freshly initialised."""
    row = spec(experiment.architecture)
    network = row.network(classes, experiment.stream, recipe.training, recipe.clips)
    for module in network.modules():
        if isinstance(module, Inception | C3D):
            module.recompute = recipe.training.recompute
    return network


@dataclass(frozen=True)
class Extent:
    """What a clip covers: RGB frames, flow fields, and seconds of video at 25 fps."""

    rgb_frames: int
    flow_fields: int
    seconds: float

    def __str__(self) -> str:
        parts = [f"{self.rgb_frames} RGB"] * bool(self.rgb_frames)
        parts += [f"{self.flow_fields} flow"] * bool(self.flow_fields)
        return f"{' + '.join(parts)}, {self.seconds:.2f} s"


@dataclass(frozen=True)
class Size:
    """Table 1 of an architecture, over all its streams.

    Attributes:
        parameters: Of all its networks.
        multiply_adds: Of convolutions and matrix products for one training clip.
        train: A training clip.
        test: The longest test clip.
    """

    parameters: int
    multiply_adds: int
    train: Extent
    test: Extent


def size(architecture: plan.Architecture, classes: int = 400) -> Size:
    """Counts what Table 1 lists, without allocating or computing anything."""
    row = spec(architecture)
    parameters = multiply_adds = 0
    streams = plan.usual_streams(architecture)
    for stream in streams:
        with FakeTensorMode():
            network = row.network(classes, stream, Training(), row.clips).eval()
            clips = example_clips(stream, row.clips)
            with FlopCounterMode(display=False) as counter:
                network(*clips)
        parameters += sum(p.numel() for p in network.parameters())
        multiply_adds += counter.get_total_flops() // 2
    sees_flow = streams != ("rgb",)
    return Size(
        parameters,
        multiply_adds,
        _extent(row.clips, row.clips.train_frames, sees_flow),
        _extent(row.clips, row.clips.test_frames, sees_flow),
    )


def example_clips(stream: Stream, clips: Clips, batch: int = 1) -> list[torch.Tensor]:
    """Uninitialised training clips of the shapes that a stream's network gets, `b c t h w` each."""
    rgb = torch.empty(batch, 3, clips.train_frames // clips.snapshot, clips.crop, clips.crop)
    flow = torch.empty(batch, 2, clips.train_frames, clips.crop, clips.crop)
    return {"rgb": [rgb], "flow": [flow], "joint": [rgb, flow]}[stream]


def _extent(clips: Clips, frames: int, sees_flow: bool) -> Extent:
    return Extent(frames // clips.snapshot, frames if sees_flow else 0, frames / clips.fps)
