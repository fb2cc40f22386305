"""Which networks there are, and all that the rest of the package asks of one.

A network is a `networks.network.VideoNetwork` in a file of its own, which ends with its registration:

    register(Architecture("my-net", "My Net", build=_build, clips=Clips(...), smallest=(16, 112)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from i3d_lightning.errors import InputError
from i3d_lightning.experiment import FUSION, Experiment
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Changes, Clips, Recipe, Training
from i3d_lightning.registry import Registry

Build = Callable[[int, str, Clips, Training], VideoNetwork]
FromImages = Callable[[VideoNetwork, Mapping[str, Tensor], str], None]


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network as the rest of the package knows it.

    Attributes:
        name: What users call it by.
        title: Its name in tables.
        build: Makes it, freshly initialised, from the number of classes, the stream, the clips that it gets
            and how it is trained.
        clips: The clips that it usually gets: of the paper's networks, those of Table 1.
        smallest: The shortest and smallest clip that it takes, in frames and pixels.
        device_batch: Most clips that one device usually holds at once, and normalises together; the authors
            trained I3D with 6. It is to divide 96 and 384, the clips of a step.
        streams: Streams that it can be trained on.
        row: Its letter in the paper's tables, for the paper's five.
        images: Whether it is trained on images instead of videos, which it sees frame by frame.
        one_size: Whether it takes frames of no other size than `clips.crop`, which it is built for.
        multiple: What a clip's frames and the side of its square must be multiples of.
        windows: Whether it takes clips of `clips.train_frames` alone, which it is built for, and sees longer
            ones as windows.
        training: What training it changes of the recipe for UCF-101 and HMDB-51.
        library: The Python package that it comes from, where it is none of ours.
        last: Dotted name of the last layer there, by which its publisher's weights are told and renamed.
        from_images: Starts it from the state of the image network (`convnet`) and the setting
            `training.first_layer`; None where it has no counterpart among image networks.
        version: Of its results: raised when a change of its code changes what it computes.
    """

    name: str
    title: str
    build: Build
    clips: Clips
    smallest: tuple[int, int]
    device_batch: int = 6
    streams: tuple[str, ...] = ("rgb",)
    row: str = ""
    images: bool = False
    one_size: bool = False
    multiple: tuple[int, int] = (1, 1)
    windows: bool = False
    training: Changes = field(default_factory=dict)
    library: str = ""
    last: str = ""
    from_images: FromImages | None = None
    version: int = 1

    @property
    def usual_streams(self) -> tuple[str, ...]:
        """The streams behind its two-stream result: two to be fused, a joint one, or the only one."""
        return ("joint",) if "joint" in self.streams else self.streams

    @property
    def result_version(self) -> str:
        """What its results depend on beside settings: `version`, and its library's, which computes them."""
        if not self.library:
            return str(self.version)
        try:
            return f"{self.version}, {self.library} {metadata.version(self.library)}"
        except metadata.PackageNotFoundError:
            return f"{self.version}, {self.library} not installed"

    @property
    def image_network(self) -> str:
        """The network whose weights of images it may start from: itself, where it is one of images."""
        return self.name if self.images else IMAGE_NETWORK

    @property
    def combined_stream(self) -> str:
        """The stream of its two-stream result: the fusion of two, a joint one, or the only one."""
        return FUSION if len(self.usual_streams) == 2 else self.usual_streams[0]


ARCHITECTURES: Registry[Architecture] = Registry("architecture")
register = ARCHITECTURES.register

IMAGE_NETWORK = "convnet"
"""The network that is trained on images, and which others start from."""


def paper() -> tuple[Architecture, ...]:
    """List the paper's five, rows (a) to (e) of its tables."""
    return tuple(sorted((a for a in ARCHITECTURES if a.row), key=lambda a: a.row))


def build(experiment: Experiment, classes: int, recipe: Recipe) -> VideoNetwork:
    """Make the network of an experiment, freshly initialised.

    Raises:
        InputError: It cannot do what the recipe asks for.
    """
    architecture = ARCHITECTURES[experiment.architecture]
    network = architecture.build(classes, experiment.stream, recipe.clips, recipe.training)
    if recipe.training.activation_checkpointing:
        able = [m for m in network.modules() if hasattr(m, "activation_checkpointing")]
        if not able:
            raise InputError(
                f"{architecture.name} has no activation checkpointing: drop "
                "training.activation_checkpointing."
            )
        for module in able:
            module.activation_checkpointing = True  # type: ignore[assignment]
    return network


@contextmanager
def unallocated() -> Iterator[None]:
    """Make tensors that have a shape but no numbers, so that networks of any size cost nothing.

    They are on no device: elsewhere PyTorch draws from a truncated normal distribution until it has enough
    numbers.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("meta"):
        yield


@lru_cache(maxsize=64)
def shapes(architecture: Architecture, classes: int) -> Mapping[str, torch.Size]:
    """Find the shapes of a network's parameters and buffers, without allocating them."""
    with unallocated():
        network = architecture.build(classes, architecture.streams[0], architecture.clips, Training())
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def check_clips(architecture: Architecture, clips: Clips) -> None:
    """Refuse clips that a network does not take.

    Raises:
        InputError: They are too short, too small, or of a size at test that it is not built for.
    """
    frames, pixels = architecture.smallest
    least = {"train_frames": frames, "test_frames": frames, "crop": pixels}
    if clips.test_crop:
        least["test_crop"] = pixels
    for name, smallest in least.items():
        given = getattr(clips, name)
        if given < smallest:
            raise InputError(f"clips.{name} is {given}, but {architecture.name} takes {smallest} or more.")
    _check_multiples(architecture, clips)
    if architecture.windows and clips.test_frames < clips.train_frames:
        raise InputError(
            f"clips.test_frames is {clips.test_frames}, but {architecture.name} sees windows of "
            f"clips.train_frames ({clips.train_frames}): say as many or more."
        )
    if architecture.one_size and clips.test_side != clips.crop:
        raise InputError(
            f"clips.test_crop is {clips.test_crop}, but {architecture.name} is built for one size, "
            f"clips.crop ({clips.crop}): leave it out."
        )


def _check_multiples(architecture: Architecture, clips: Clips) -> None:
    frames, pixels = architecture.multiple
    asked = {"train_frames": frames, "crop": pixels}
    if clips.test_crop:
        asked["test_crop"] = pixels
    for name, multiple in asked.items():
        given = getattr(clips, name)
        if given % multiple:
            raise InputError(
                f"clips.{name} is {given}, but {architecture.name} takes multiples of {multiple}: make it "
                f"{given // multiple * multiple or multiple}, say."
            )
