"""The settings of an experiment that are not in its name. They check themselves, whichever way they come in.

Everything here is frozen data that can be hashed, printed and stored. A setting's type and range stand
beside it, and flags, YAML files, grids and the metadata of weights all pass through them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from i3d_lightning.errors import InputError, check_known
from i3d_lightning.schedule import Course

Changes = Mapping[str, Any]
"""Settings that differ from others, nested as `Recipe` is; None leaves a setting as it is."""


@dataclass(frozen=True)
class Range:
    """Limits of a number: `low` and `high` belong to it unless `above` says that `low` does not."""

    low: float
    high: float
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        low = f"above {self.low}" if self.above else f"of at least {self.low}"
        return f"{low} and at most {self.high}"


NO_EFFECT = "no effect"
"""Marks a setting that changes how a result is computed, but not what it is."""

LATER = "later"
"""Marks a setting that came later: at its default, which is what was done before, it is left out of
identities, so that runs and features from before stay what they are."""

Number = Annotated[int, Range(1, 100_000)]
Steps = Annotated[int, Range(1, 100_000_000)]
Start = Annotated[int, Range(0, 100_000_000)]
Factor = Annotated[float, Range(0, 1000, above=True)]
Share = Annotated[float, Range(0, 1)]
Mean = Annotated[float, Range(-10, 10)]
Deviation = Annotated[float, Range(1e-3, 10)]


class Settings:
    """Frozen dataclasses of settings, each of a type and range that is checked when one is made.

    Raises:
        InputError: A value is of another type or out of range.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]
            value = _checked(f"{type(self).__name__.lower()}.{name}", hint, getattr(self, name))
            object.__setattr__(self, name, value)
        self.check()

    def check(self) -> None:
        """Refuse settings that do not go together."""


@dataclass(frozen=True)
class Clips(Settings):
    """How videos become network input. The defaults are the paper's for I3D (Table 1, section 3).

    Attributes:
        fps: Frame rate that every video is resampled to, in frames per second.
        short_side: Length that a frame's shorter side is resized to, in pixels.
        crop: Side of the square that is cut out: at random in training, from the centre at test.
        test_crop: Side of the square at test, where it is another; 0 for none.
        train_frames: Consecutive frames that a training clip covers.
        test_frames: Most frames covered of a video at test: its first, as the authors do
            (https://github.com/google-deepmind/kinetics-i3d/issues/28).
        snapshot: Frames of a snapshot: all its flow fields are taken, and of its RGB frames the middle
            one. Clips cover whole snapshots.
        flip: Mirror half of the training clips from left to right. Wrong where classes differ by
            direction.
        test_flip: At test, average over a video and its mirror image.
        photometric_jitter: Strength of random brightness, contrast and saturation changes in
            training; the paper names it as future work, so it is 0.
        mean: What is subtracted from red, green and blue in [0, 1].
        std: What they are divided by then; 0.5 and 0.5 give [-1, 1], as I3D takes them.
        aspect: Width / height that frames are squeezed to, whatever theirs is; 0 keeps it.
        interpolation: How frames are resized: by `ffmpeg`, whose bilinear filter averages when it shrinks; or
            as other networks' authors did, by PyTorch's `bilinear` filter, which does not (rounded to 8 bits;
            not rounded as `bilinear-float`), or by the same one with `antialias`, or by its bicubic one with
            that, `antialias-bicubic`.
        views: What is seen of a video at test: `whole`, its first `test_frames` frames; or so many clips of
            `train_frames` at equal distances in all of it, times so many squares along the longer side of
            each, as in `10x3`, over which logits are averaged.
    """

    fps: Annotated[float, Range(0.01, 1000)] = 25.0
    short_side: Annotated[int, Range(8, 4096)] = 256
    crop: Annotated[int, Range(8, 4096)] = 224
    test_crop: Annotated[int, Range(0, 4096)] = 0
    train_frames: Number = 64
    test_frames: Number = 250
    snapshot: Number = 1
    flip: bool = True
    test_flip: bool = False
    photometric_jitter: Share = 0.0
    mean: tuple[Mean, Mean, Mean] = (0.5, 0.5, 0.5)
    std: tuple[Deviation, Deviation, Deviation] = (0.5, 0.5, 0.5)
    aspect: Annotated[float, Range(0, 10), LATER] = 0.0
    interpolation: Annotated[
        Literal["ffmpeg", "bilinear", "bilinear-float", "antialias", "antialias-bicubic"], LATER
    ] = "ffmpeg"
    views: Annotated[str, LATER] = "whole"

    def check(self) -> None:
        """Refuse crops larger than frames, parts of snapshots, and views that are none or not trained on."""
        for name in ("crop", "test_crop"):
            if getattr(self, name) > self.short_side:
                raise InputError(
                    f"clips.{name} {getattr(self, name)} must not exceed clips.short_side {self.short_side}."
                )
        for name in ("train_frames", "test_frames"):
            if getattr(self, name) % self.snapshot:
                raise InputError(
                    f"clips.{name} is {getattr(self, name)}, but must be a multiple of clips.snapshot "
                    f"({self.snapshot})."
                )
        if self.test_flip and not self.flip:
            raise InputError(
                "clips.test_flip is true, but clips.flip is false, as where classes differ by direction: a "
                "network that must not learn from mirror images cannot be tested on them, drop one of them."
            )
        if self.views != "whole" and not _VIEWS.fullmatch(self.views):
            raise InputError(
                f"clips.views is '{self.views}', but must be 'whole', or clips x squares of each (1 or 3): "
                "10x3, say."
            )

    @property
    def clips_and_squares(self) -> tuple[int, int]:
        """Views of a video at test: clips, and squares of each; (1, 1) also where it is seen whole."""
        if self.views == "whole":
            return 1, 1
        clips, squares = self.views.split("x")
        return int(clips), int(squares)

    @property
    def test_side(self) -> int:
        """Side of the square at test, in pixels."""
        return self.test_crop or self.crop


FFMPEG, WHOLE = "ffmpeg", "whole"

_VIEWS = re.compile("[1-9][0-9]?x[13]")

PREPROCESSING = ("fps", "short_side", "crop", "mean", "std", "aspect", "interpolation")
"""Settings of `Clips` that belong to weights: frames prepared in another way are not what they learnt on."""


@dataclass(frozen=True)
class Flow(Settings):
    """Optical flow; the defaults are OpenCV's of TV-L1, the closest match to the authors' flow.

    Attributes:
        source: Where fields come from: `stored`, computed once and kept on disk; `computed` anew of each
            clip, on the device that trains; or a folder of images as others distribute it, see
            `flow.image_folders`.
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
        median: Side of the median filter, in pixels: 1 (none), 3 or 5.
        bound: Displacement in pixels at which flow is clipped before it is quantised to 8 bits.
    """

    source: str = "stored"
    algorithm: Literal["tvl1", "raft-small", "raft-large"] = "tvl1"
    tau: Annotated[float, Range(0, 1, above=True)] = 0.25
    lambda_: Factor = 0.15
    theta: Factor = 0.3
    scales: Annotated[int, Range(1, 100)] = 5
    scale_step: Annotated[float, Range(0.05, 0.99)] = 0.8
    warps: Annotated[int, Range(1, 100)] = 5
    epsilon: Annotated[float, Range(0, 1000)] = 0.01
    inner_iterations: Annotated[int, Range(1, 10_000)] = 30
    outer_iterations: Annotated[int, Range(1, 10_000)] = 10
    median: Annotated[int, Range(1, 5)] = 5
    bound: Annotated[float, Range(0.1, 1000)] = 20.0

    @property
    def images(self) -> bool:
        """Whether fields are read from images that others made."""
        return self.source not in ("stored", "computed")

    def check(self) -> None:
        """Refuse median filters that no solver has."""
        if self.median % 2 == 0:
            raise InputError(f"flow.median is {self.median}, but must be 1, 3 or 5.")


@dataclass(frozen=True)
class Training(Settings):
    """How a network is trained. The defaults are for UCF-101 and HMDB-51.

    The paper (section 2.5) gives SGD with momentum 0.9, up to 5,000 steps, and a learning rate divided by 10
    when validation saturates. Batch, rate and stages are ours, see docs/recipes.md.

    Attributes:
        steps: Optimiser steps in all, a multiple of `validate_every`, for `reference_batch` clips a step.
        validate_every: Steps between checkpoints, for `reference_batch` clips a step; validation, where
            videos are held out for it, comes before each.
        validation_fraction: Share of the training videos held out by whole groups for validation, and not
            trained on. Settings are chosen by `i3d sweep`, so it is 0 unless the schedule watches validation.
        batch_size: Clips per optimiser step, over all devices.
        device_batch: Most clips that one device holds at once; gradients are accumulated beyond it. What it
            holds at once is normalised together.
        optimizer: `sgd` (the paper's) or `adamw`.
        learning_rate: Learning rate at the start, for `reference_batch` clips a step.
        reference_batch: Clips a step that `steps`, `validate_every`, `stages` and `learning_rate` are for.
            With another `batch_size` a run sees as many clips, in more or fewer steps, and the learning rate
            is scaled by their ratio for SGD (Goyal et al. 2017, https://arxiv.org/abs/1706.02677), by its
            square root for AdamW (Malladi et al. 2022, https://arxiv.org/abs/2205.10287); see `course`.
        schedule: `stages` changes the learning rate at given steps; `plateau` enters each of these stages
            when validation saturates (the paper's rule), at its step at the latest, so that the last rate is
            reached; `cosine` anneals it to zero over the run, and has no stages.
        stages: Pairs: from this step on, the learning rate is so many times that of the start.
        patience: Validations without a better loss that `plateau` waits out before the next stage.
        momentum: Momentum of SGD.
        weight_decay: L2 penalty; 1e-7 is what the authors released their weights with.
        dropout: Probability to drop a feature before the classifier.
        first_layer: How flow networks begin where ImageNet's weights are for red, green and blue: `mean`
            gives each channel the mean of their filters, `new` random ones. See `networks.inflation`.
        batchnorm_momentum: Share of each new micro-batch in BatchNorm's running statistics, which tests use:
            0.01 averages over some hundred, 0.1 is for runs too short for that.
        precision: `float32` (without TF32), `bf16`, or `auto`: bf16 where the device has instructions for it.
            What `auto` came to is kept with a run.
        compile: Compile training steps with `torch.compile`.
        activation_checkpointing: Compute activations again for the gradients instead of keeping them: less
            memory, for long clips, and about a third more time.
        workers: Data-loading processes, or -1 to choose by the number of cores.
        warmup_steps: Steps over which learning rates rise from 0 to those of the schedule, for
            `reference_batch` clips a step; `cosine` anneals over the steps that remain.
        layer_decay: The last layer is trained at the learning rate, and each one before it at so many times
            that of the next (Clark et al. 2020, https://arxiv.org/abs/2003.10555, section 3.1); 1 is one
            rate for all. Networks that say their layers take it, see `VideoNetwork.depths`.
        norm_decay: Whether `weight_decay` is also on norms, biases and what else has one dimension, and on
            the embeddings and tokens that a network names, see `VideoNetwork.undecayed`.
        mixup: Mixes each training clip and its label with another's, with shares drawn from
            Beta(mixup, mixup) once for all clips that a device holds at once (Zhang et al. 2018,
            https://arxiv.org/abs/1710.09412); 0 for none.
    """

    steps: Steps = 5000
    validate_every: Steps = 500
    validation_fraction: Annotated[float, Range(0, 0.9)] = 0.0
    batch_size: Number = 96
    device_batch: Number = 6
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Factor = 0.01
    reference_batch: Number = 96
    schedule: Literal["stages", "plateau", "cosine"] = "stages"
    stages: tuple[tuple[Start, Factor], ...] = ((3000, 0.1), (4500, 0.01))
    patience: Annotated[int, Range(0, 1_000_000)] = 2
    momentum: Annotated[float, Range(0, 0.9999)] = 0.9
    weight_decay: Annotated[float, Range(0, 1000)] = 1e-7
    dropout: Annotated[float, Range(0, 0.99)] = 0.5
    first_layer: Literal["mean", "new"] = "mean"
    batchnorm_momentum: Annotated[float, Range(0, 1, above=True)] = 0.01
    precision: Literal["auto", "float32", "bf16"] = "auto"
    compile: bool = False
    activation_checkpointing: Annotated[bool, NO_EFFECT] = False
    workers: Annotated[int, Range(-1, 1024), NO_EFFECT] = -1
    warmup_steps: Annotated[Start, LATER] = 0
    layer_decay: Annotated[float, Range(0, 1, above=True), LATER] = 1.0
    norm_decay: Annotated[bool, LATER] = True
    mixup: Annotated[float, Range(0, 100), LATER] = 0.0

    def check(self) -> None:
        """Refuse a schedule that no run can keep, and settings that exclude each other."""
        if self.steps % self.validate_every:
            raise InputError(
                f"training.steps ({self.steps}) must be a multiple of training.validate_every "
                f"({self.validate_every}), so that the run ends with a checkpoint."
            )
        self._check_stages()
        if self.warmup_steps >= self.steps:
            raise InputError(
                f"training.warmup_steps is {self.warmup_steps}, as you or the network's recipe say, but "
                f"training ends with step {self.steps}, so that its learning rate would never be reached: "
                "say fewer."
            )
        if self.mixup and min(self.device_batch, self.batch_size) < 2:
            raise InputError(
                "training.mixup mixes clips that a device holds at once, but training.device_batch or "
                "training.batch_size is 1: make it 2 or more, or drop training.mixup."
            )
        if self.schedule == "plateau" and not self.validation_fraction:
            raise InputError(
                "training.schedule 'plateau' watches held-out videos, but training.validation_fraction is 0: "
                "hold some out, such as 0.1, or choose the schedule 'stages'."
            )
        if not self.course.agrees_with(self._stated):
            raise InputError(
                f"training.batch_size {self.batch_size} cannot see as many clips as the {self.steps} steps "
                f"of training.reference_batch {self.reference_batch} with a whole number of steps between "
                "checkpoints: choose another, or say both and state the schedule for it."
            )
        if self.activation_checkpointing and self.compile:
            raise InputError(
                "training.activation_checkpointing and training.compile exclude each other, as compiling "
                "chooses by itself what to compute again: drop one of them."
            )

    def _check_stages(self) -> None:
        starts = [start for start, _ in self.stages]
        if starts != sorted(set(starts)):
            raise InputError(
                f"training.stages begin at {_shown(starts)}, but each must begin after the one before."
            )
        if self.schedule == "cosine":  # has none: those of another schedule do not matter
            return
        if not starts:
            raise InputError(
                f"training.schedule is '{self.schedule}', but training.stages is empty: list them."
            )
        if starts[-1] >= self.steps:
            raise InputError(
                f"training.stages has one that begins at step {starts[-1]}, but training ends with step "
                f"{self.steps}, so that its learning rate would never be used: say training.stages too, or "
                "training.schedule 'cosine', which has none."
            )

    @property
    def _stated(self) -> Course:
        """The schedule as it is stated, for `reference_batch` clips a step."""
        return Course(
            self.schedule,
            self.reference_batch,
            self.steps,
            self.validate_every,
            self.stages,
            self.learning_rate,
            self.warmup_steps,
        )

    @property
    def course(self) -> Course:
        """What a run does: the schedule for `batch_size` clips a step."""
        ratio = self.batch_size / self.reference_batch
        rate = self.learning_rate * (ratio if self.optimizer == "sgd" else ratio**0.5)
        return self._stated.scaled(self.batch_size, rate)


@dataclass(frozen=True)
class Recipe(Settings):
    """Every setting of an experiment that is not in its name.

    Attributes:
        clips: How videos become network input.
        flow: How optical flow is computed.
        training: How the network is trained.
    """

    clips: Clips = field(default_factory=Clips)
    flow: Flow = field(default_factory=Flow)
    training: Training = field(default_factory=Training)


def compose(recipe: Recipe, *changes: Changes) -> Recipe:
    """Replace settings of a recipe, later changes over earlier ones.

    Raises:
        InputError: A setting is unknown, of another type or out of range.
    """
    return _replace(recipe, merge(*changes), "")


def merge(*changes: Changes) -> dict[str, Any]:
    """Merge nested settings, later ones over earlier ones; None changes nothing."""
    merged: dict[str, Any] = {}
    for change in changes:
        for key, value in change.items():
            before = merged.get(key)
            if None not in (before, value) and isinstance(before, Mapping) != isinstance(value, Mapping):
                wrong = value if isinstance(before, Mapping) else before
                raise InputError(f"{key} is {_shown(wrong)}, but must be a mapping of its settings.")
            if isinstance(value, Mapping) and isinstance(merged.get(key, {}), Mapping):
                merged[key] = merge(merged.get(key, {}), value)
            elif value is not None or key not in merged:
                merged[key] = value
    return merged


def _replace(value: Any, change: Changes, prefix: str) -> Any:
    hints = _hints(type(value))  # type: ignore[arg-type]
    settings = {}
    for key, new in change.items():
        check_known("setting", f"{prefix}{key}", [f"{prefix}{name}" for name in hints])
        now = getattr(value, key)
        if isinstance(now, Settings) and new is not None:
            if not isinstance(new, Mapping):
                raise InputError(f"{prefix}{key} is {_shown(new)}, but must be a mapping of its settings.")
            settings[key] = _replace(now, new, f"{prefix}{key}.")
        elif new is not None:
            settings[key] = new
    return dataclasses.replace(value, **settings)


@cache
def _hints(settings: Any) -> dict[str, Any]:
    return get_type_hints(settings, include_extras=True)


def without_effect(settings: type) -> frozenset[str]:
    """Name the settings that change how a result is computed, but not what it is."""
    return frozenset(
        name for name, hint in _hints(settings).items() if NO_EFFECT in getattr(hint, "__metadata__", ())
    )


def identifying(settings: Settings) -> dict[str, Any]:
    """Give settings as plain data for an identity, without those that came later and are at their default."""
    kind: Any = type(settings)
    later = {name for name, hint in _hints(kind).items() if LATER in getattr(hint, "__metadata__", ())}
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(kind)}
    left_out = {f.name for f in dataclasses.fields(kind) if f.name in later and values[f.name] == f.default}
    return {name: plain(value) for name, value in values.items() if name not in left_out}


_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # YAML 1.1 takes 1e-4 for text


def _checked(name: str, hint: Any, value: Any) -> Any:
    """The value, as its type; numbers without a fraction may stand for floats."""
    found = _as_type(hint, value)
    if found is None:
        raise InputError(f"{name} is {_shown(value)}, but must be {_describe(hint)}.")
    return found


def _as_type(hint: Any, value: Any) -> Any:
    """The value as a type's and within its limits, or None where it is none."""
    kind, *limits = _kind_and_limits(hint)
    if get_origin(kind) is Literal:
        return value if isinstance(value, str) and value in get_args(kind) else None
    if get_origin(kind) is tuple:
        return _as_tuple(get_args(kind), value)
    found = value if type(value) is kind else None
    if kind is float:
        found = _as_float(value)
    elif kind is str:
        found = str(value) if isinstance(value, (str, Path)) and is_text(str(value)) else None
        return found or None
    elif kind is int and isinstance(value, str) and _WHOLE.fullmatch(value):
        found = int(value)
    return found if found is not None and all(found in limit for limit in limits) else None


def _as_float(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def _as_tuple(hints: tuple[Any, ...], value: Any) -> tuple[Any, ...] | None:
    if not isinstance(value, (list, tuple)):
        return None
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        return None
    found = tuple(_as_type(hint, part) for hint, part in zip(hints, value, strict=True))
    return None if None in found else found


def _kind_and_limits(hint: Any) -> list[Any]:
    """A type, then the ranges that it is limited to."""
    limits = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Range)]
    return [get_args(hint)[0] if get_origin(hint) is Annotated else hint, *limits]


def _describe(hint: Any) -> str:
    """What a type and its limits are, in words."""
    kind, *limits = _kind_and_limits(hint)
    if get_origin(kind) is Literal:
        *most, last = get_args(kind)
        words = f"{', '.join(most)} or {last}"
    elif get_origin(kind) is tuple:
        inner = get_args(kind)
        if inner[-1] is Ellipsis:
            words = f"a list, each {_describe(inner[0])}"
        elif len(set(inner)) == 1:
            words = f"a list of {len(inner)}, each {_describe(inner[0])}"
        else:
            words = f"a list of {', '.join(map(_describe, inner))}"
    else:
        known = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        words = known.get(kind, getattr(kind, "__name__", str(kind)))
    return " ".join([words, *map(str, limits)])


def _shown(value: Any) -> str:
    """A value in a message: as YAML writes truth, and not more of it than a line."""
    try:
        shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        shown = "a number beyond all limits"
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


_NO_TEXT = re.compile("[\x00-\x1f\ud800-\udfff]")


def is_text(text: str) -> bool:
    """Tell text from what has control characters, or bytes of a file name that are not UTF-8."""
    return _NO_TEXT.search(text) is None


def describe_settings(settings: type) -> Iterable[tuple[str, str]]:
    """Say of each setting what it must be, in words."""
    return ((name, _describe(hint)) for name, hint in _hints(settings).items())


def digest(*parts: Any) -> str:
    """Compute a sha256 over plain data and dataclasses that does not depend on the order of keys."""
    text = json.dumps([plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples and paths into what JSON and YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


FLOW_PRESETS: Mapping[str, Flow] = {
    "accurate": Flow(),
    "fast": Flow(scale_step=0.5, warps=3, inner_iterations=10, outer_iterations=3, median=3),
}
"""OpenCV's settings, and a trade-off measured in benchmarks/README.md."""
