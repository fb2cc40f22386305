"""The fixed protocol from scratch beside training the last layer of the public I3D, its backbone frozen.

Both see the same videos at 128 px: 20 epochs of random clips of 64 frames and a test of whole videos, or
every whole video once and a classifier fitted to its features.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from clips import videos
from networks import DEVICE
from public_i3d import public_i3d
from side_by_side import medians, print_ratios
from torch import Tensor

from i3d_lightning.datasets.clips import RGBFrames, TrainingClips, WholeVideos
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.protocols.base import Job
from i3d_lightning.protocols.fixed import fixed
from i3d_lightning.recipe import Clips, Recipe
from i3d_lightning.video.transforms import normalise
from i3d_lightning.weights import load_weights, save_weights

EPOCHS = 20
TRAIN, TEST = 12, 5
CLIPS = Clips(short_side=128, crop=112)
CLASSES = 2


def main() -> None:
    found = [
        Video(str(path), path, number % CLASSES, str(path))
        for number, path in enumerate(videos(TRAIN + TEST))
    ]
    split = DatasetSplit("folder", 1, tuple("ab"), tuple(found[:TRAIN]), tuple(found[TRAIN:]))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    methods = {
        f"public I3D, float32, backbone frozen, {EPOCHS} epochs": lambda: _last_layer(split),
        "ours, from scratch": lambda: _ours(split),
    }
    title = f"Fixed protocol, {TRAIN} training and {TEST} test videos"
    print_ratios(title, medians(methods, rounds=1, warm_up=False), next(iter(methods)))


def _last_layer(split: DatasetSplit) -> None:
    network = public_i3d(CLASSES, CLIPS.crop).to(DEVICE).eval().requires_grad_(False)
    classifier = torch.nn.Linear(1024, CLASSES).to(DEVICE)
    optimizer = torch.optim.SGD(classifier.parameters(), 0.01, momentum=0.9)
    sources = [RGBFrames(CLIPS.fps, CLIPS.short_side)]

    def logits(clip: Tensor) -> Tensor:
        with torch.no_grad():
            features = network.extract_features(normalise(clip[None].to(DEVICE), CLIPS)).mean((2, 3, 4))
        scores: Tensor = classifier(features)
        return scores

    training = TrainingClips(split.train, sources, CLIPS, seed=0)
    for draw in range(EPOCHS * len(split.train)):
        item = training[draw]
        F.cross_entropy(logits(item["clips"][0]), torch.tensor([item["label"]], device=DEVICE)).backward()
        optimizer.step()
        optimizer.zero_grad()
    for item in map(WholeVideos(split.test, sources, CLIPS).__getitem__, range(len(split.test))):
        logits(item["clips"][0])


def _ours(split: DatasetSplit) -> None:
    with _untrained() as (weights, folder):
        experiment = Experiment("i3d", "rgb", "kinetics", "fixed", "ucf101")
        fixed(Job(experiment, Recipe(CLIPS), split, weights, folder, folder / "cache", "untrained"))


@contextmanager
def _untrained() -> Iterator[tuple]:
    """Weights, for whose speed it does not matter what they have seen, and an empty folder."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "kinetics.safetensors"
        save_weights(
            path, I3D(CLASSES), architecture="i3d", stream="rgb", pretraining="kinetics",
            labels=tuple("ab"), clips=CLIPS,
        )  # fmt: skip
        yield load_weights(str(path)), Path(place)
