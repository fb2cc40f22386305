"""Predictions, scores and run folders for tests, made by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml

from i3d_lightning.experiment import FUSION, RANDOM, Experiment
from i3d_lightning.recipe import Clips, digest, plain
from i3d_lightning.results.predictions import Predictions
from i3d_lightning.results.runs import (
    CONFIG,
    ENVIRONMENT,
    FINGERPRINT,
    PREDICTIONS,
    write_json,
    write_result,
)
from i3d_lightning.results.scores import Score

EMPTY: Mapping = MappingProxyType({})
MADE_ON: Mapping = {
    "command": ["/bin/i3d", "grid", "my.yaml"], "code": "abc123",
    "devices": ["cpu"], "cpu": "a CPU", "cpu_threads": 2,
}  # fmt: skip
ORDER = {"origin": 0, "fixed": 1, "full-ft": 2}


def predictions(rows, labels, ids=None, groups=None, leaked=()) -> Predictions:
    """Predictions of these logits; each video is a group of its own where nothing else is said."""
    ids = tuple(ids or (f"v{i}" for i in range(len(rows))))
    known = np.array([video in leaked for video in ids], bool)
    logits = np.array(rows, dtype=np.float32)
    return Predictions(ids, np.array(labels), logits, tuple(groups or ids), known)


def right_of(right: int, of: int, **known) -> Predictions:
    """Predictions of class 1, with `right` of `of` videos right."""
    return judged([n < right for n in range(of)], **known)


def judged(correct, **known) -> Predictions:
    """Predictions of class 1 that are right or wrong as said."""
    rows = np.zeros((len(correct), 4), np.float32)
    rows[np.arange(len(correct)), np.where(correct, 1, 2)] = 1
    return predictions(rows, [1] * len(correct), **known)


def score(
    architecture, stream, pretraining, protocol, dataset, right, of=200, split=1, seed=0, **run
) -> Score:
    """A score with `right` of `of` videos right."""
    one = "rgb" if stream == FUSION else stream
    return Score(
        Experiment(
            architecture, one, pretraining, protocol, dataset, split, seed, run.pop("pretraining_seed", 0)
        ),
        stream,
        right_of(right, of),
        run.pop("missing", {"train": 0, "test": 0}),
        run.pop("weights", None if pretraining == "none" else "w"),
        order=run.pop("order", ORDER.get(protocol, 9)),
        control=pretraining == RANDOM or (protocol, pretraining) == ("fixed", "imagenet"),
        trains_by_steps=protocol != "fixed",
        **run,
    )


def write_run(
    root: Path,
    experiment: Experiment,
    right: int,
    of: int = 12,
    reading: Mapping = EMPTY,
    leaked: Collection[str] = (),
    clips: Clips | None = None,
    **protocol,
) -> Path:
    """A complete run of three classes with `right` of `of` videos right, of 40 training videos.

    `reading` is what its result says of videos that could not be read, or only in part: of v0, v1, ...
    """
    folder = root / experiment.folder
    logits = np.zeros((of, 3), np.float32)
    logits[np.arange(of), [i % 3 if i < right else (i + 1) % 3 for i in range(of)]] = 1
    for video in reading.get("unreadable", {}).get("test", ()):
        logits[int(video[1:])] = np.nan
    predictions(logits, np.arange(of) % 3, leaked=leaked).save(folder / PREDICTIONS)
    config = {"classes": ["a", "b", "c"]} | ({"recipe": {"clips": plain(clips)}} if clips else {})
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    write_json(folder / ENVIRONMENT, MADE_ON)
    write_json(folder / FINGERPRINT, {"protocol": experiment.protocol})
    result = {
        "experiment": plain(experiment),
        "protocol": {
            "order": ORDER.get(experiment.protocol, 9),
            "control": False,
            "trains_by_steps": experiment.protocol != "fixed",
            **protocol,
        },
        "missing": {"train": 0, "test": 0},
        "weights": None if experiment.pretraining == "none" else {"sha256": "w"},
        "tested_on": "test",
        "identity": digest({"protocol": experiment.protocol}),
        "videos": of,
        "seconds": 30.0,
        "train_videos": 40,
        "unreadable": {"train": {}, "test": {}},
        "partly_read": {"train": {}, "test": {}},
        **reading,
    }
    write_result(folder, result)
    return folder
