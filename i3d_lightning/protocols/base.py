"""What a protocol is, and the parts that protocols are put together from.

A protocol is one file: a function that takes a `Job`, trains, tests on whole videos and returns an
`Outcome`, and its registration, which says what it may start from:

    register(Protocol("my-protocol", run=my_protocol, order=3, from_video=True))

What is stored where, resumed or refused is the business of `study.run`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import LearningRateMonitor
from torch import Tensor

from i3d_lightning import networks
from i3d_lightning.datasets.clips import worst
from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Recipe
from i3d_lightning.registry import Registry
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.training.checkpoints import Checkpoints
from i3d_lightning.training.meters import MemoryMeter, StallMeter
from i3d_lightning.training.optimisers import ParameterGroups
from i3d_lightning.training.precision import forbid_tf32, lightning_precision
from i3d_lightning.training.streams import VideoStream, gathered, merged, warn_of_looped
from i3d_lightning.weights import Weights, apply_weights, start_from_images

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """All that a protocol needs.

    Attributes:
        experiment: What to run.
        recipe: Its settings, with the precision that it computes in.
        data: Its videos.
        weights: What it starts from, None for `none`.
        folder: Where checkpoints go.
        cache: Where flow and features are kept between experiments.
        features: All that a frozen feature depends on, but for the video itself, as plain data.
        trainer: Further arguments of Lightning's Trainer: devices, strategy, ...
        loggers: Lightning loggers of the training curves.
        identity: Digest of all that the run's result depends on: its checkpoints belong to it.
    """

    experiment: Experiment
    recipe: Recipe
    data: DatasetSplit
    weights: Weights | None
    folder: Path
    cache: Path
    features: Mapping[str, Any]
    trainer: Mapping[str, Any] = field(default_factory=dict)
    loggers: Sequence[Any] = ()
    identity: str = ""

    @property
    def classes(self) -> int:
        """Number of classes of the data set."""
        return len(self.data.classes)


@dataclass(frozen=True)
class Outcome:
    """What a protocol found.

    Attributes:
        predictions: Of every test video.
        network: The trained network.
        metrics: Further measurements, plain data.
        unreadable: Ids of the videos that could not be decoded, by part, with the reason.
        partly: Ids of those that were read only in part, by part, with how much: "28 of 139 frames".
        peak_memory: Bytes that passes over whole videos took at most, where there were any.
    """

    predictions: Predictions
    network: VideoNetwork
    metrics: dict[str, Any]
    unreadable: dict[str, dict[str, str]]
    partly: dict[str, dict[str, str]]
    peak_memory: int | None


@dataclass(frozen=True)
class Protocol:
    """A way to use a data set, as the rest of the package knows it.

    Attributes:
        name: What users call it by.
        run: Does it.
        order: Its place in tables.
        from_video: Whether it starts from weights that have seen video; else from scratch, or from images.
        reason: Why it cannot start from others, in words.
        control: Whether it runs on the frames of videos by the network of images too, from its weights:
            outside the paper, and marked so in tables.
        trains_by_steps: Whether it trains on clips by gradient steps, so that the settings of training and
            augmentation matter to its result.
        pretrains: Whether it is how pretraining is made, on data sets that teach.
        version: Of its results: raised when a change of its code changes them.
    """

    name: str
    run: Callable[[Job], Outcome]
    order: int
    from_video: bool
    reason: str = ""
    control: bool = False
    trains_by_steps: bool = True
    pretrains: bool = False
    version: int = 1


PROTOCOLS: Registry[Protocol] = Registry("protocol")
register = PROTOCOLS.register


def start_network(job: Job) -> VideoNetwork:
    """Make the network with its starting weights; its last layer is new, for the target's classes."""
    L.seed_everything(job.experiment.seed, verbose=False)
    network = networks.build(job.experiment, job.classes, job.recipe)
    if job.weights is None:
        return network
    architecture = networks.ARCHITECTURES[job.experiment.architecture]
    if networks.ARCHITECTURES[job.weights.architecture].images and not architecture.images:
        start_from_images(network, job.weights, architecture, job.recipe.training.first_layer)
    else:
        apply_weights(network, job.weights, classifier=False)
    return network


def make_data(job: Job) -> VideoDataModule:
    """Make the data module of a job's videos."""
    e = job.experiment
    return VideoDataModule(job.data, e.stream, job.recipe, e.seed, flow_root=job.cache / "flow")


def make_trainer(job: Job, **fit: Any) -> L.Trainer:
    """Make the Trainer of a job; what the user says of devices goes over what is said here.

    Signals and checkpoints are ours alone: Lightning would turn signals into exits of its own, let SLURM's
    write a checkpoint, and load whatever it takes for one in its folder, before a test too.
    """
    precision = job.recipe.training.precision
    forbid_tf32(precision)
    quiet = {"enable_progress_bar": sys.stderr.isatty(), "enable_model_summary": False}
    ours = {
        "default_root_dir": job.folder / "nothing-is-here",
        "logger": list(job.loggers),
        "precision": lightning_precision(precision),
        "num_sanity_val_steps": 0,
        "enable_checkpointing": "max_epochs" in fit,
    }
    trainer = L.Trainer(**{**quiet, **job.trainer, **ours, **fit})
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def train_and_test(job: Job, network: VideoNetwork, groups: ParameterGroups | None = None) -> Outcome:
    """Train end to end, then predict every test video whole.

    All training videos are trained on, unless the schedule watches some that are held out by whole groups;
    the test videos choose nothing. The weights tested are the last ones.

    Args:
        job: What to do.
        network: The network with its starting weights.
        groups: Parts the parameters into groups with rates of their own; by default all are one.
    """
    training = job.recipe.training
    course = training.course
    data = make_data(job)
    _check_plateau(job, data)
    stream = VideoStream(network, job.classes, job.recipe, job.experiment.seed, groups)
    memory = MemoryMeter()
    trainer = make_trainer(
        job,
        max_epochs=course.steps // course.validate_every,
        log_every_n_steps=max(1, min(50, course.validate_every // 2)),
        limit_val_batches=1.0 if data.validation_videos else 0,
        callbacks=[
            Checkpoints(job.folder, job.identity),
            StallMeter(),
            memory,
            *([LearningRateMonitor()] if job.loggers else []),
        ],
    )
    trainer.accumulate_grad_batches = data.accumulate(trainer.world_size)
    if trainer.is_global_zero:
        log.info("  %s.", course)
        _warn_of_statistics(training.batchnorm_momentum, course.steps * trainer.accumulate_grad_batches)
        _warn_of_few(
            course.clips // trainer.world_size, trainer.accumulate_grad_batches, training.device_batch
        )
    trainer.fit(stream, data)

    logged = ("fit/loss", "fit/top1", "val/loss", "val/top1")
    metrics = {"steps": trainer.global_step} | {n: stream.logged[n] for n in logged if n in stream.logged}
    damaged = worst(gathered(data.partly))
    tested = _predict(trainer, stream, data, job.data.test, job.classes)
    unreadable = {"train": merged(data.unreadable), "test": tested.unreadable}
    partly = {"train": {id_: str(damaged[id_]) for id_ in sorted(damaged)}, "test": tested.partly}
    return Outcome(tested.predictions, network, metrics, unreadable, partly, memory.peak)


def _check_plateau(job: Job, data: VideoDataModule) -> None:
    """Refuse to watch validation where nothing can be held out for it."""
    if job.recipe.training.schedule == "plateau" and not data.validation_videos:
        raise InputError(
            f"training.schedule 'plateau' watches held-out videos, but none of {job.data.name} are: groups "
            "stay whole and every class keeps one; say a larger training.validation_fraction, or another "
            "schedule."
        )


def _warn_of_statistics(momentum: float, updates: int) -> None:
    """Say so where BatchNorm tests with much of what it knew before the training."""
    left = (1 - momentum) ** updates
    if left > 0.1:
        log.warning(
            "  BatchNorm's running statistics are updated %d times, and %.0f %% of them stays from before: "
            "raise --recipe.training.batchnorm_momentum (%g).", updates, 100 * left, momentum,
        )  # fmt: skip


def _warn_of_few(clips: int, parts: int, most: int) -> None:
    """Say so where a device's clips of a step divide so badly that BatchNorm takes few of them together."""
    if 2 * (clips // parts) <= min(clips, most):
        log.warning(
            "  BatchNorm takes %d clips together where it could take %d, as the %d that a device has of a "
            "step divide no better: choose another --recipe.training.batch_size or device_batch.",
            clips // parts, min(clips, most), clips,
        )  # fmt: skip


class _Tested(NamedTuple):
    """Predictions of videos, and by id what could not be read, or only in part."""

    predictions: Predictions
    unreadable: dict[str, str]
    partly: dict[str, str]


def _predict(
    trainer: L.Trainer, stream: VideoStream, data: VideoDataModule, videos: Sequence[Video], classes: int
) -> _Tested:
    trainer.test(stream, datamodule=data.whole(videos), verbose=False)
    if trainer.is_global_zero:
        warn_of_looped(videos, stream.looped, data.clips)
    logits = {videos[index].id: row for index, row in stream.predictions.items()}
    unreadable = {videos[index].id: why for index, why in stream.unreadable.items()}
    partly = {videos[index].id: much for index, much in stream.partly.items()}
    return _Tested(to_predictions(videos, logits, classes), unreadable, partly)


def to_predictions(videos: Sequence[Video], logits: Mapping[str, Tensor], classes: int) -> Predictions:
    """Give every video its row of logits: NaN where it could not be read.

    Raises:
        InputError: A network gave no finite logits.
    """
    for video in videos:
        if video.id in logits and not logits[video.id].isfinite().all():
            raise InputError(
                f"The network gives no finite logits for {video.id}: its weights have diverged, or are not "
                "for this precision; compute with --precision float32, or train at a lower learning rate."
            )
    nothing = np.full(classes, np.nan, np.float32)
    rows = [logits[v.id].float().numpy() if v.id in logits else nothing for v in videos]
    return Predictions(
        tuple(v.id for v in videos),
        np.array([v.label for v in videos]),
        np.stack(rows),
        tuple(v.group for v in videos),
        np.array([v.leaked for v in videos]),
    )
