"""What an experiment is: its words, its settings, and which combinations exist.

Everything here is plain, frozen data that can be hashed, printed and stored. This module is the
ground floor of the package: every other module may import it, and it imports none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Architecture = Literal["convnet", "convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d"]
"""The paper's five, and the image network that ImageNet pretraining trains."""
Stream = Literal["rgb", "flow", "joint"]
Pretraining = Literal["none", "imagenet", "kinetics", "imagenet+kinetics"]
Protocol = Literal["origin", "fixed", "full-ft"]
Speed = Literal["auto", "exact", "bf16", "compiled"]

PAPER: tuple[Architecture, ...] = ("convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d")
"""Rows (a) to (e) of the paper's tables."""

_STREAMS: Mapping[str, tuple[Stream, ...]] = {
    "convnet": ("rgb",),
    "convnet-lstm": ("rgb",),
    "c3d": ("rgb",),
    "two-stream": ("rgb", "flow", "joint"),
    "fused-3d": ("rgb", "flow", "joint"),
    "i3d": ("rgb", "flow"),
}

FUSION = "rgb+flow"
"""The mean of an RGB and a flow stream's logits: computed from stored predictions, never trained."""

DATASETS = (
    "ucf101", "hmdb51", "kinetics", "imagenet",
    "demo-ucf101", "demo-hmdb51", "demo-kinetics", "demo-imagenet", "folder",
)  # fmt: skip
DEMO_TARGETS = ("demo-ucf101", "demo-hmdb51")


class InputError(ValueError):
    """Something the user gave is wrong; the message is one sentence that says what to do."""


def unknown(kind: str, word: object, known: Iterable[str]) -> InputError:
    """An error for a misspelt name that suggests the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    few = known if len(known) <= 20 else [*difflib.get_close_matches(str(word), known, n=5, cutoff=0), "..."]
    return InputError(f"Unknown {kind} '{word}': {hint}Known are {', '.join(few)}.")


def check_known(kind: str, word: object, known: Collection[str]) -> None:
    """Refuses a word that is none of those known.

    Raises:
        InputError: As `unknown` says it.
    """
    if word not in known:
        raise unknown(kind, word, known)


@dataclass(frozen=True)
class Clips:
    """How videos become network input. The defaults are the paper's for I3D (Table 1, section 3).

    Attributes:
        fps: Frame rate that every video is resampled to, in frames per second.
        short_side: Length that a frame's shorter side is resized to, in pixels.
        crop: Side of the square that is cut out: at random in training, from the centre at test.
        train_frames: Consecutive frames that a training clip covers.
        test_frames: Most frames covered of a video at test, from its middle.
        snapshot: Frames of a snapshot: all its flow fields are taken, and of its RGB frames the middle
            one. Clips cover whole snapshots.
        flip: Mirror half of the training clips from left to right. Wrong where classes differ by
            direction, as in the demo sets.
        photometric_jitter: Strength of random brightness, contrast and saturation changes in
            training; the paper names it as future work, so it is 0.
    """

    fps: float = 25.0
    short_side: int = 256
    crop: int = 224
    train_frames: int = 64
    test_frames: int = 250
    snapshot: int = 1
    flip: bool = True
    photometric_jitter: float = 0.0


@dataclass(frozen=True)
class Flow:
    """Settings of optical flow; the defaults are OpenCV's of TV-L1, the closest match to the authors' flow.

    Attributes:
        algorithm: `tvl1`, which the published weights are trained on, or torchvision's learned RAFT, which
            the settings below do not concern, but for `bound`.
        tau: Time step of the numerical scheme.
        lambda_: Weight of the data term.
        theta: Tightness of the coupling between data and smoothness.
        scales: Levels of the image pyramid.
        scale_step: Size ratio between neighbouring levels.
        warps: Warpings per level.
        epsilon: Stopping threshold.
        inner_iterations: Inner fixed-point iterations per outer one.
        outer_iterations: Outer iterations per warp.
        median: Side of the median filter, in pixels.
        bound: Displacement in pixels at which flow is clipped before it is quantised to 8 bits.
    """

    algorithm: Literal["tvl1", "raft-small", "raft-large"] = "tvl1"
    tau: float = 0.25
    lambda_: float = 0.15
    theta: float = 0.3
    scales: int = 5
    scale_step: float = 0.8
    warps: int = 5
    epsilon: float = 0.01
    inner_iterations: int = 30
    outer_iterations: int = 10
    median: int = 5
    bound: float = 20.0


FLOW_PRESETS: Mapping[str, Flow] = {
    "accurate": Flow(),
    "fast": Flow(scale_step=0.5, warps=3, inner_iterations=10, outer_iterations=3, median=3),
}
"""OpenCV's settings, and a trade-off measured in benchmarks/README.md."""


@dataclass(frozen=True)
class Training:
    """How a network is trained. The defaults are the paper's for UCF-101 and HMDB-51 (section 4).

    Attributes:
        steps: Optimiser steps in all.
        validate_every: Steps between validations; a checkpoint is taken at each.
        validation_fraction: Share of the training videos held out by whole groups for validation.
        batch_size: Clips per optimiser step, over all devices.
        device_batch: Most clips that one device holds at once; gradients are accumulated beyond it.
        optimizer: `sgd` (the paper's) or `adamw`.
        learning_rate: Learning rate at the start, for `reference_batch` clips a step.
        reference_batch: With another `batch_size` the learning rate is scaled by their ratio for SGD (Goyal
            et al. 2017, https://arxiv.org/abs/1706.02677), by its square root for AdamW (Malladi et al. 2022,
            https://arxiv.org/abs/2205.10287).
        schedule: `plateau` divides the learning rate by 10 when validation saturates (the paper's);
            `stages` changes it at given steps; `cosine` anneals it to zero over the run, for runs too
            short to watch a plateau.
        stages: Pairs: from this step on, the learning rate is so many times that of the start.
        patience: Validations without a better loss before the learning rate falls.
        momentum: Momentum of SGD.
        weight_decay: L2 penalty; 1e-7 is what the authors released their weights with.
        dropout: Probability to drop a feature before the classifier.
        first_layer: How flow networks begin where ImageNet's weights are for red, green and blue: `mean`
            gives each channel the mean of their filters, `new` random ones. See `networks.inflation`.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
        flow: Where optical flow comes from: `stored`, computed once and kept on disk; `computed` anew of each
            clip, on the device that trains; or a folder of images as others distribute it, see
            `video.flow.image_folders`.
        recompute: Compute activations again for the gradients instead of keeping them: less memory, for
            long clips, and about a third more time.
        speed: `exact` (float32), `bf16`, `compiled` (bf16, training steps compiled) or `auto`, by the
            device; see `i3d_lightning.speed`.
        workers: Data-loading processes, or -1 to choose by the number of cores.
    """

    steps: int = 5000
    validate_every: int = 500
    validation_fraction: float = 0.1
    batch_size: int = 96
    device_batch: int = 6
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    reference_batch: int = 96
    schedule: Literal["plateau", "stages", "cosine"] = "plateau"
    stages: tuple[tuple[int, float], ...] = ()
    patience: int = 2
    momentum: float = 0.9
    weight_decay: float = 1e-7
    dropout: float = 0.5
    first_layer: Literal["mean", "new"] = "mean"
    batchnorm_momentum: float = 0.1
    flow: str = "stored"
    recompute: bool = False
    speed: Speed = "auto"
    workers: int = -1

    @property
    def scaled_learning_rate(self) -> float:
        """Learning rate at the start, for `batch_size` clips a step."""
        ratio = self.batch_size / self.reference_batch
        return self.learning_rate * (ratio if self.optimizer == "sgd" else ratio**0.5)


@dataclass(frozen=True)
class Recipe:
    """Every setting of an experiment that is not in its name.

    Attributes:
        clips: How videos become network input.
        flow: How optical flow is computed.
        training: How the network is trained.
    """

    clips: Clips = field(default_factory=Clips)
    flow: Flow = field(default_factory=Flow)
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class Experiment:
    """One cell of the comparison: the unit that is run, resumed, stored and tabulated.

    Attributes:
        architecture: Row of the paper's Table 1.
        stream: What the network sees.
        pretraining: What the weights have seen before this data set.
        protocol: How the data set is used.
        dataset: Name of the data set.
        split: Official split, from 1.
        seed: Seed of initialisation, order, augmentation, dropout and folds.
    """

    architecture: Architecture
    stream: Stream
    pretraining: Pretraining
    protocol: Protocol
    dataset: str
    split: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, word, known in (
            ("architecture", self.architecture, get_args(Architecture)),
            ("stream", self.stream, get_args(Stream)),
            ("pretraining", self.pretraining, get_args(Pretraining)),
            ("protocol", self.protocol, get_args(Protocol)),
            ("data set", self.dataset, DATASETS),
        ):
            check_known(kind, word, known)
        valid = pretrainings(self.architecture, self.protocol, self.dataset)
        if self.pretraining not in valid:
            raise InputError(
                f"Protocol '{self.protocol}' on {self.dataset} with {self.architecture} does not exist from "
                f"pretraining '{self.pretraining}': {_why(self)}; "
                f"valid pretraining: {', '.join(valid) or 'none at all'}."
            )
        if self.stream not in streams(self.architecture):
            raise InputError(
                f"Architecture '{self.architecture}' has no stream '{self.stream}'; "
                f"it has {', '.join(streams(self.architecture))}."
            )

    @property
    def folder(self) -> Path:
        """Where the run lives below the run folder: its name is what it is."""
        return (
            Path(f"{self.dataset}-{self.split}")
            / f"{self.architecture}-{self.stream}"
            / self.pretraining
            / self.protocol
            / f"seed{self.seed}"
        )

    @property
    def name(self) -> str:
        return self.folder.as_posix()


def is_kinetics(dataset: str) -> bool:
    """Whether training on this data set is pretraining."""
    return dataset in ("kinetics", "demo-kinetics")


def is_imagenet(dataset: str) -> bool:
    """Whether the data set is of images, on which only the image network is trained."""
    return dataset in ("imagenet", "demo-imagenet")


def is_pretraining_set(dataset: str) -> bool:
    """Whether what is trained on this data set is what others start from."""
    return is_kinetics(dataset) or is_imagenet(dataset)


def is_demo(dataset: str) -> bool:
    """Whether the project renders this data set itself."""
    return dataset.startswith("demo-")


def pretraining_set(dataset: str, name: Literal["kinetics", "imagenet"] = "kinetics") -> str:
    """The data set that pretraining of this name means for a target: demo sets have their own."""
    return f"demo-{name}" if is_demo(dataset) else name


def streams(architecture: Architecture) -> tuple[Stream, ...]:
    """Streams that an architecture can be trained on (Table 2).

    Raises:
        InputError: There is no such architecture.
    """
    check_known("architecture", architecture, _STREAMS)
    return _STREAMS[architecture]


def usual_streams(architecture: Architecture) -> tuple[Stream, ...]:
    """The streams behind an architecture's rows of Table 4: two to be fused, a joint one, or the only one."""
    available = streams(architecture)
    return ("joint",) if "joint" in available else available


def combined_stream(architecture: Architecture) -> str:
    """The stream of an architecture's number in Table 4: the fusion of two, a joint one, or the only one."""
    usual = usual_streams(architecture)
    return FUSION if len(usual) == 2 else usual[0]


def pretrainings(architecture: Architecture, protocol: Protocol, dataset: str) -> tuple[Pretraining, ...]:
    """Pretraining that a protocol may start from (Tables 3 and 4), the marked control included."""
    valid: tuple[Pretraining, ...]
    if (architecture == "convnet") != is_imagenet(dataset):
        valid = ()
    elif is_imagenet(dataset):
        valid = ("none",) if protocol == "origin" else ()
    elif is_kinetics(dataset):
        valid = ("none", "imagenet") if protocol == "origin" else ()
    elif protocol == "origin":
        valid = ("none", "imagenet")
    elif protocol == "fixed":
        valid = ("kinetics", "imagenet+kinetics", "imagenet")
    else:
        valid = ("kinetics", "imagenet+kinetics")
    if architecture == "c3d":  # Table 3: the 3D-ConvNet has no 2-D counterpart to inflate
        valid = tuple(p for p in valid if "imagenet" not in p)
    return valid


def is_control(experiment: Experiment) -> bool:
    """Whether a cell lies outside the paper: frozen ImageNet features, marked so in tables."""
    return experiment.protocol == "fixed" and experiment.pretraining == "imagenet"


def compose(recipe: Recipe, *changes: Mapping[str, Any]) -> Recipe:
    """A recipe with settings replaced; nested mappings mirror its fields and `None` changes nothing."""
    for change in changes:
        recipe = _replace(recipe, change)
    return recipe


def digest(*parts: Any) -> str:
    """A sha256 over plain data and dataclasses that does not depend on the order of keys."""
    text = json.dumps([plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as what JSON and YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _replace(value: Any, change: Mapping[str, Any]) -> Any:
    known = {f.name for f in dataclasses.fields(value)}
    settings = {}
    for key, new in change.items():
        check_known("setting", key, known)
        if isinstance(new, Mapping):
            settings[key] = _replace(getattr(value, key), new)
        elif new is not None:
            settings[key] = new
    return dataclasses.replace(value, **settings)


def _why(experiment: Experiment) -> str:
    if experiment.architecture == "convnet":
        return "the image network is trained on ImageNet alone, an origin run"
    if is_imagenet(experiment.dataset):
        return "on ImageNet only the image network, convnet, is trained"
    if is_kinetics(experiment.dataset):
        return "training on Kinetics is itself the pretraining, an origin run"
    if experiment.architecture == "c3d" and "imagenet" in experiment.pretraining:
        return "the 3D-ConvNet has no ImageNet counterpart"
    if experiment.protocol == "origin":
        return "origin never sees Kinetics"
    if experiment.protocol == "full-ft" and experiment.pretraining == "imagenet":
        return "full-ft from imagenet is origin from imagenet"
    return f"{experiment.protocol} needs pretrained weights"
