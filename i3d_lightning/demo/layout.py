"""Which clips and images the demo sets hold, and their lists, in the layouts of the sets they stand for."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .actions import HMDB51, KINETICS, UCF101, Action
from .images import PEOPLE, THINGS

ACTIONS: dict[str, dict[str, Action]] = {
    "demo-kinetics": KINETICS,
    "demo-ucf101": UCF101,
    "demo-hmdb51": HMDB51,
}
DEMO_CLASSES: dict[str, tuple[str, ...]] = {
    **{name: tuple(sorted(actions)) for name, actions in ACTIONS.items()},
    "demo-imagenet": tuple(sorted((*THINGS, *PEOPLE))),
}
"""The classes of each demo set, in the order of their indices."""


DEVELOPMENT_SEED = 0
"""Of the demo sets on which the demo itself was made, and its recipes are chosen."""


@dataclass(frozen=True)
class DemoSettings:
    """What is rendered. Counts are per class.

    Attributes:
        seed: Everything random derives from it. Nothing was ever chosen by results on the videos of the usual
            one; whatever was chosen was chosen on those of `DEVELOPMENT_SEED`.
        pretraining_clips: Training clips in demo-Kinetics, each its own figure and background.
        validation_clips: Validation clips in demo-Kinetics.
        images: Training images in demo-ImageNet.
        validation_images: Validation images in demo-ImageNet.
        groups: Groups (UCF-101) or source videos (HMDB-51) in a target.
        training_groups: Of these, how many a split trains on; the three splits take turns.
        clips_per_group: Clips of the same figure before the same background.
    """

    seed: int = 2017
    pretraining_clips: int = 84
    validation_clips: int = 10
    images: int = 100
    validation_images: int = 15
    groups: int = 20
    training_groups: int = 2
    clips_per_group: int = 2


@dataclass(frozen=True)
class DemoClip:
    """One clip, or image, to render.

    Attributes:
        dataset: Name of its demo set.
        label: Its class.
        group: Figure and background within the class; clips of a group never part.
        index: Number within the group.
        path: Its file below the root.
    """

    dataset: str
    label: str
    group: int
    index: int
    path: str


def clips(settings: DemoSettings) -> Iterator[DemoClip]:
    """Every clip of the three video sets, and every image."""
    for label in DEMO_CLASSES["demo-imagenet"]:
        for group in range(settings.images + settings.validation_images):
            part = "train" if group < settings.images else "val"
            name = f"{label.replace(' ', '_')}_{group:04d}.png"
            yield DemoClip("demo-imagenet", label, group, 0, f"imagenet/{part}/{label}/{name}")
    for label in DEMO_CLASSES["demo-kinetics"]:
        for group in range(settings.pretraining_clips + settings.validation_clips):
            part = "train" if group < settings.pretraining_clips else "validate"
            name = f"{youtube_id(settings, label, group)}_{0:06d}_{1:06d}.mp4"
            yield DemoClip("demo-kinetics", label, group, 0, f"kinetics/{part}/{label}/{name}")
    for group in range(settings.groups):
        for index in range(settings.clips_per_group):
            for label in DEMO_CLASSES["demo-ucf101"]:
                name = f"v_{label}_g{group + 1:02d}_c{index + 1:02d}.avi"
                yield DemoClip("demo-ucf101", label, group, index, f"ucf101/videos/{label}/{name}")
            for label in DEMO_CLASSES["demo-hmdb51"]:
                name = f"Demo_Reel_{group + 1}_{label}_f_cm_np1_fr_med_{index}.avi"
                yield DemoClip("demo-hmdb51", label, group, index, f"hmdb51/videos/{label}/{name}")


def youtube_id(settings: DemoSettings, label: str, group: int) -> str:
    """Eleven characters as YouTube's, which may well begin with `-`."""
    text = hashlib.sha256(f"{settings.seed}/{label}/{group}".encode()).digest()
    return base64.urlsafe_b64encode(text)[:11].decode()


def trains(settings: DemoSettings, group: int, split: int) -> bool:
    """Whether a target's group is trained on in a split, from 1: the splits take turns around the groups."""
    return (group - (split - 1) * settings.training_groups) % settings.groups < settings.training_groups


def write_lists(root: Path, settings: DemoSettings) -> None:
    """Writes the lists that the real data sets come with."""
    everything = list(clips(settings))
    _write_kinetics(root / "kinetics", [c for c in everything if c.dataset == "demo-kinetics"])
    _write_ucf101(root / "ucf101" / "splits", [c for c in everything if c.dataset == "demo-ucf101"], settings)
    _write_hmdb51(root / "hmdb51" / "splits", [c for c in everything if c.dataset == "demo-hmdb51"], settings)


def _write_kinetics(root: Path, clips: list[DemoClip]) -> None:
    for part in ("train", "validate"):
        with (root / f"{part}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
            for clip in clips:
                if clip.path.startswith(f"kinetics/{part}/"):
                    rows.writerow([clip.label, Path(clip.path).name[:11], 0, 1, part])


def _write_ucf101(splits: Path, clips: list[DemoClip], settings: DemoSettings) -> None:
    splits.mkdir(parents=True)
    number = {label: i for i, label in enumerate(DEMO_CLASSES["demo-ucf101"], 1)}
    (splits / "classInd.txt").write_text("".join(f"{i} {label}\n" for label, i in number.items()))
    clips = sorted(clips, key=lambda clip: clip.path)
    for split in (1, 2, 3):
        train, test = [], []
        for clip in clips:
            path = f"{clip.label}/{Path(clip.path).name}"
            if trains(settings, clip.group, split):
                train.append(f"{path} {number[clip.label]}\n")
            else:
                test.append(f"{path}\n")
        (splits / f"trainlist{split:02d}.txt").write_text("".join(train))
        (splits / f"testlist{split:02d}.txt").write_text("".join(test))


def _write_hmdb51(splits: Path, clips: list[DemoClip], settings: DemoSettings) -> None:
    splits.mkdir(parents=True)
    clips = sorted(clips, key=lambda clip: clip.path)
    for split in (1, 2, 3):
        unused = (split * settings.training_groups) % settings.groups  # as in the real lists, some sit out
        for label in DEMO_CLASSES["demo-hmdb51"]:
            rows = []
            for clip in clips:
                if clip.label == label:
                    part = 0 if clip.group == unused else 1 if trains(settings, clip.group, split) else 2
                    rows.append(f"{Path(clip.path).name} {part} \n")
            (splits / f"{label}_test_split{split}.txt").write_text("".join(rows))


def generator(settings: DemoSettings, *key: str | int) -> np.random.Generator:
    """Randomness of one thing: its own, whatever is rendered before it."""
    text = "/".join(map(str, (settings.seed, *key)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))
