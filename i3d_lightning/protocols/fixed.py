"""Fixed: frozen Kinetics features, of which only the last layer is trained.

The "Fixed" columns of Table 4 (https://arxiv.org/abs/1705.07750, section 5). A video's feature is the
input of the last layer over its test clip, averaged over time (of an LSTM, at the last step).

Our control, which the paper lacks, is the network of images itself, its features averaged over frames. What
is made from it is no control as long as it is frozen: an LSTM or a fusion layer would be random, and an
inflated network has the batch statistics of images.
"""

from __future__ import annotations

import torch

from i3d_lightning import ranks
from i3d_lightning.datasets.folds import group_folds
from i3d_lightning.errors import InputError
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.protocols.base import (
    Job,
    Outcome,
    Protocol,
    make_data,
    make_trainer,
    register,
    start_network,
    to_predictions,
)
from i3d_lightning.training.classifier import LinearClassifier, fit_cross_validated, hits
from i3d_lightning.training.feature_store import FeatureStore
from i3d_lightning.training.features import frozen_features
from i3d_lightning.training.meters import MemoryMeter

FOLDS = 5
"""Cross-validation folds that choose the regularisation."""


def fixed(job: Job) -> Outcome:
    """Fit a multinomial logistic regression on frozen features.

    Its regularisation is chosen by cross-validation over groups of the training videos, and it is refitted
    on all of them; the seed only deals the groups into folds.
    """
    network = start_network(job)
    data = make_data(job)
    store = FeatureStore(job.cache / "features", job.features)
    memory = MemoryMeter()
    trainer = make_trainer(job, callbacks=[memory])

    train = frozen_features(network, job.data.train, data, store, trainer)
    if not train.videos:
        raise InputError(
            f"None of the {len(job.data.train)} training videos of {job.data.name} could be read."
        )
    test = frozen_features(network, job.data.test, data, store, trainer)

    labels = torch.tensor([video.label for video in train.videos])
    folds = group_folds(train.videos, FOLDS, job.experiment.seed)
    classifier = ranks.by_first(lambda: fit_cross_validated(train.values, labels, job.classes, folds))
    _set_classifier(network, classifier)

    ids = (video.id for video in test.videos)
    logits = dict(zip(ids, classifier(test.values) if test.videos else (), strict=True))
    fitted = hits(classifier(train.values), labels).double().mean().item()
    metrics = {
        "train_top1": 100.0 * fitted,
        "validation_top1": classifier.validation_top1,
        "scaling": classifier.scaling,
        "penalty": classifier.penalty,
    }
    predictions = to_predictions(job.data.test, logits, job.classes)
    unreadable = {"train": train.unreadable, "test": test.unreadable}
    partly = {"train": train.partly, "test": test.partly}
    return Outcome(predictions, network, metrics, unreadable, partly, memory.peak)


def _set_classifier(network: VideoNetwork, classifier: LinearClassifier) -> None:
    """Put the fitted layer into the network, so that its weights predict by themselves."""
    with torch.no_grad():
        network.classifier.weight.copy_(classifier.weight)
        network.classifier.bias.copy_(classifier.bias)


register(
    Protocol(
        "fixed",
        fixed,
        order=1,
        from_video=True,
        reason=(
            "fixed needs weights that have seen video (frozen features from imagenet are those of the image "
            "network itself: --architecture convnet)"
        ),
        control=True,
        trains_by_steps=False,
        version=2,  # test clips are videos' first frames
    )
)
