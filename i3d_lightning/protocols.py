"""The paper's three ways to use a data set: origin, fixed, full-ft (section 4, Table 4).

Each is one function that reads from top to bottom: it takes a `Job`, trains, tests on whole videos
and returns what it measured. What is stored where, resumed or refused is the runner's business.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from torch import Tensor

from i3d_lightning import architectures, plan, speed
from i3d_lightning.datasets.datamodule import VideoDataModule
from i3d_lightning.datasets.folds import group_folds
from i3d_lightning.datasets.lists import DatasetSplit, Video
from i3d_lightning.features import VERSION, FeatureStore, frozen_features
from i3d_lightning.meters import MemoryMeter, StallMeter
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.plan import Experiment, InputError, Recipe
from i3d_lightning.results import Predictions
from i3d_lightning.softmax import fit_cross_validated
from i3d_lightning.streams import VideoStream
from i3d_lightning.weights import Weights, apply_weights, bootstrap

log = logging.getLogger(__name__)

FOLDS = 5
"""Cross-validation folds that choose the regularisation of `fixed`."""


@dataclass(frozen=True)
class Job:
    """All that a protocol needs.

    Attributes:
        experiment: What to run.
        recipe: Its settings.
        data: Its videos.
        weights: What it starts from, None for `none`.
        folder: Where checkpoints go.
        cache: Where flow and features are kept between experiments.
        trainer: Further arguments of Lightning's Trainer: devices, strategy, ...
        loggers: Lightning loggers of the training curves.
    """

    experiment: Experiment
    recipe: Recipe
    data: DatasetSplit
    weights: Weights | None
    folder: Path
    cache: Path
    trainer: Mapping[str, Any] = field(default_factory=dict)
    loggers: Sequence[Any] = ()


@dataclass(frozen=True)
class Outcome:
    """What a protocol found.

    Attributes:
        predictions: Of every test video.
        network: The trained network.
        metrics: Further measurements, plain data.
        unreadable: Ids of the videos that could not be decoded, by part, with the reason.
        peak_memory: Bytes that passes over whole videos took at most, where there were any.
    """

    predictions: Predictions
    network: VideoNetwork
    metrics: dict[str, Any]
    unreadable: dict[str, dict[str, str]]
    peak_memory: int | None


def origin(job: Job) -> Outcome:
    """Train on the target only, from random or ImageNet weights: the paper's "Original" columns."""
    return _train_and_test(job, _network(job))


def full_ft(job: Job) -> Outcome:
    """Fine-tune everything from Kinetics weights, batch normalisation included: "Full-FT" columns."""
    return _train_and_test(job, _network(job))


def fixed(job: Job) -> Outcome:
    """Train only a softmax classifier on frozen features: the paper's "Fixed" columns.

    A video's feature is the input of the last layer over its test clip, averaged over time (of an
    LSTM, at the last step). The classifier's regularisation is chosen by cross-validation over groups
    of the training videos and refitted on all of them; the seed only deals the groups into folds.
    """
    network = _network(job)
    data = _data(job)
    store = FeatureStore(job.cache / "features", feature_key(job))
    memory = MemoryMeter()
    trainer = _trainer(job, callbacks=[memory])

    features, train, lost = frozen_features(network, job.data.train, data, store, trainer)
    if not train:
        raise InputError(
            f"None of the {len(job.data.train)} training videos of {job.data.name} could be read."
        )
    test_features, test, lost_test = frozen_features(network, job.data.test, data, store, trainer)

    labels = torch.tensor([video.label for video in train])
    folds = group_folds(train, FOLDS, job.experiment.seed)
    classifier = fit_cross_validated(features, labels, len(job.data.classes), folds)
    _set_classifier(network, classifier.weight, classifier.bias)

    logits = dict(zip((v.id for v in test), classifier(test_features) if test else (), strict=True))
    fitted = (classifier(features).argmax(1) == labels).double().mean().item()
    metrics = {
        "train_top1": 100.0 * fitted,
        "validation_top1": classifier.validation_top1,
        "scaling": classifier.scaling,
        "penalty": classifier.penalty,
    }
    predictions = _predictions(job.data.test, logits, len(job.data.classes))
    return Outcome(predictions, network, metrics, {"train": lost, "test": lost_test}, memory.peak)


PROTOCOLS: dict[str, Callable[[Job], Outcome]] = {"origin": origin, "fixed": fixed, "full-ft": full_ft}


def feature_key(job: Job) -> str:
    """Digest of all that a frozen feature depends on, but for the video itself."""
    assert job.weights is not None
    clips, stream = job.recipe.clips, job.experiment.stream
    # A shorter video is looped to the length of a training clip, so that length counts too.
    preprocessing = (
        clips.fps, clips.short_side, clips.crop, clips.train_frames, clips.test_frames, clips.snapshot
    )  # fmt: skip
    flow = (job.recipe.flow, job.recipe.training.flow) if stream != "rgb" else None
    numbers = speed.choose(job.recipe.training.speed).precision
    # What image weights do not cover is new, and follows from the seed.
    new = (job.recipe.training.first_layer, job.experiment.seed) if _bootstraps(job) else None
    return plan.digest(
        VERSION, job.weights.sha256, job.experiment.architecture, stream, preprocessing, flow, numbers, new
    )


def _network(job: Job) -> VideoNetwork:
    """The network with its starting weights; its last layer is new, for the target's classes."""
    L.seed_everything(job.experiment.seed, verbose=False)
    network = architectures.build(job.experiment, len(job.data.classes), job.recipe)
    if job.weights is not None:
        if _bootstraps(job):
            bootstrap(network, job.weights, job.recipe.training.first_layer)
        else:
            apply_weights(network, job.weights, classifier=False)
    return network


def _bootstraps(job: Job) -> bool:
    """Whether it starts from the weights of images, inflated where its network is 3-D."""
    return job.weights is not None and job.weights.architecture == "convnet"


def _data(job: Job) -> VideoDataModule:
    e = job.experiment
    return VideoDataModule(job.data, e.stream, job.recipe, e.seed, flow_root=job.cache / "flow")


def _trainer(job: Job, **fit: Any) -> L.Trainer:
    how = speed.choose(job.recipe.training.speed)
    speed.forbid_tf32(how)
    return L.Trainer(
        default_root_dir=job.folder,
        logger=list(job.loggers),
        precision=how.precision,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        enable_checkpointing="max_epochs" in fit,
        **{**fit, **job.trainer},
    )


def _train_and_test(job: Job, network: VideoNetwork) -> Outcome:
    """Train end to end, then predict every training and test video whole.

    The learning rate follows videos held out of the training set by whole groups; the test videos
    choose nothing. The weights tested are the last ones.
    """
    training = job.recipe.training
    if training.steps % training.validate_every:
        raise InputError(
            f"training.steps ({training.steps}) must be a multiple of training.validate_every "
            f"({training.validate_every}), so that the run ends with a validation and a checkpoint."
        )
    data = _data(job)
    stream = VideoStream(network, len(job.data.classes), training, job.experiment.seed)
    memory = MemoryMeter()
    trainer = _trainer(
        job,
        max_epochs=training.steps // training.validate_every,
        log_every_n_steps=max(1, min(50, training.validate_every // 2)),
        callbacks=[
            ModelCheckpoint(
                job.folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
            ),
            StallMeter(),
            memory,
            *([LearningRateMonitor()] if job.loggers else []),
        ],
    )
    trainer.accumulate_grad_batches = data.accumulate(trainer.world_size)
    checkpoint = job.folder / "last.ckpt"
    trainer.fit(stream, data, ckpt_path=str(checkpoint) if checkpoint.exists() else None)

    metrics = {
        "steps": trainer.global_step,
        **_last(trainer, ("fit/loss", "fit/top1", "val/loss", "val/top1")),
    }
    unreadable: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    if not plan.is_pretraining_set(job.experiment.dataset):  # there, fit/top1 says enough
        trained_on = data.train_videos  # without those held out
        seen, unreadable["train"] = _predict(trainer, stream, data, trained_on, len(job.data.classes))
        metrics["train_top1"] = seen.accuracy()
    unreadable["train"] |= data.unreadable
    predictions, unreadable["test"] = _predict(trainer, stream, data, job.data.test, len(job.data.classes))
    return Outcome(predictions, network, metrics, unreadable, memory.peak)


def _predict(
    trainer: L.Trainer, stream: VideoStream, data: VideoDataModule, videos: Sequence[Video], classes: int
) -> tuple[Predictions, dict[str, str]]:
    trainer.test(stream, datamodule=data.whole(videos), verbose=False)
    logits = {videos[index].id: row for index, row in stream.predictions.items()}
    lost = {videos[index].id: why for index, why in stream.unreadable.items()}
    return _predictions(videos, logits, classes), lost


def _predictions(videos: Sequence[Video], logits: Mapping[str, Tensor], classes: int) -> Predictions:
    """Every video has a row: NaN where it could not be read."""
    nothing = np.full(classes, np.nan, np.float32)
    rows = [logits[v.id].float().numpy() if v.id in logits else nothing for v in videos]
    return Predictions(tuple(v.id for v in videos), np.array([v.label for v in videos]), np.stack(rows))


def _set_classifier(network: VideoNetwork, weight: Tensor, bias: Tensor) -> None:
    """Put a fitted softmax layer into the network, so that its weights predict by themselves."""
    with torch.no_grad():
        network.classifier.weight.copy_(weight)
        network.classifier.bias.copy_(bias)


def _last(trainer: L.Trainer, names: Sequence[str]) -> dict[str, float]:
    return {name: float(trainer.callback_metrics[name]) for name in names if name in trainer.callback_metrics}
