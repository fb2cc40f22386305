"""What is disturbed: small runs of every stage by the real command line, and what must come of them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from chaos import small
from tiny import recipe_flags, save_untrained
from videos import write_video

IMPORT = f"--import={small.__file__}"
LABELS = ("Red", "Green")
TIMES = re.compile(r"second|stall|peak|memory|time|wait|^digest$|^bytes$|^files$")
"""Of what a run stores, this may differ between two equal ones: times, and digests of what holds some."""


@dataclass(frozen=True)
class Videos:
    """Folders of small videos, and weights to start from.

    Attributes:
        target: Data set `small-target`: 10 videos.
        kinetics: Data set `small-kinetics`: 6 videos.
        weights: Untrained weights that pass for Kinetics pretraining.
    """

    target: Path
    kinetics: Path
    weights: Path

    @classmethod
    def write(cls, folder: Path) -> Videos:
        seed = 0
        for name, train, test in (("target", 4, 1), ("kinetics", 2, 1)):
            for part, count in (("train", train), ("test", test)):
                for label, colour in enumerate(LABELS):
                    for number in range(count):
                        seed += 1
                        write_video(folder / name / part / colour / f"{number}.avi", label, seed)
        weights = save_untrained(folder / "kinetics.safetensors", "small", classes=2)
        return cls(folder / "target", folder / "kinetics", weights)


def settings(steps: int = 4, validate_every: int = 2, **changes: float) -> list[str]:
    """Flags of a recipe that takes as little time as there is."""
    flags = [f for f in recipe_flags() if "frames=" not in f and ".training." not in f]
    training = {
        "steps": steps, "validate_every": validate_every, "validation_fraction": 0.25, "batch_size": 2,
        "reference_batch": 2, "device_batch": 2, "workers": 0, "precision": "float32",
        "stages": [[steps // 2, 0.1]], **changes,
    }  # fmt: skip
    frames = ["--recipe.clips.train_frames=4", "--recipe.clips.test_frames=8"]
    return [*flags, *frames, *(f"--recipe.training.{name}={value}" for name, value in training.items())]


def experiment(videos: Videos, protocol: str, stream: str = "rgb", **changes: Any) -> list[str]:
    """The command line of one experiment; like all others, it works in the folder that it is given in."""
    start = [f"--weights={videos.weights}"] if protocol == "fixed" else []
    return [
        IMPORT, "experiment", f"--protocol={protocol}", "--architecture=small", f"--stream={stream}",
        "--dataset=small-target", f"--root={videos.target}", *start, *settings(**changes),
    ]  # fmt: skip


def grid(videos: Videos, **training: Any) -> list[str]:
    """The command line of a grid: pretraining, an experiment from it, and one from nothing."""
    recipe: dict[str, Any] = {}
    for flag in settings(**training):
        part, name = flag.split("=")[0].split(".")[1:]
        recipe.setdefault(part, {})[name] = yaml.safe_load(flag.split("=", 1)[1])
    wanted = {
        "architecture": "small",
        "stream": "rgb",
        "dataset": "small-target",
        "cells": [
            {"protocol": "fixed", "pretraining": "kinetics"},
            {"protocol": "origin", "pretraining": "none"},
        ],
        "recipe": recipe,
    }
    file = videos.target.parent / f"grid-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:8]}.yaml"
    if not file.exists():
        file.write_text(yaml.safe_dump(wanted))
    roots = f"{{small-target: {videos.target}, small-kinetics: {videos.kinetics}}}"
    return [IMPORT, "grid", str(file), f"--root={roots}"]


def flow(videos: Videos) -> list[str]:
    """The command line that computes flow ahead of experiments."""
    return [IMPORT, "flow", str(videos.target), "--preset=fast", "--short_side=32"]


def rendering() -> list[str]:
    """The command line that renders the demo sets."""
    return [IMPORT, "data", "demo"]


def stages(videos: Videos, **training: Any) -> dict[str, list[str]]:
    """The command line of every stage."""
    return {
        "features": experiment(videos, "fixed", **training),
        "training": experiment(videos, "origin", "flow", **training),
        "grid": grid(videos, **training),
        "flow": flow(videos),
        "rendering": rendering(),
    }


def results(place: Path) -> dict[str, Any]:
    """All numbers that commands left below a folder: what must be the same, bit for bit."""
    found: dict[str, Any] = {}
    runs = place / "runs"
    for file in sorted(runs.rglob("result.json")):
        try:
            found[str(file.parent.relative_to(runs))] = _run(file.parent)
        except Exception as error:
            found[str(file.parent.relative_to(runs))] = {"unreadable": repr(error)}
    if (runs / "table.csv").exists():
        found["table"] = (runs / "table.csv").read_text()
    for kept, pattern in (("cache/flow", "*.flow"), ("data/demo", "*")):
        files = sorted(p for p in (place / kept).rglob(pattern) if p.is_file() and not p.name.startswith("."))
        if files:
            found[kept] = {str(p.relative_to(place)): _digest(p.read_bytes()) for p in files}
    return found


def _run(folder: Path) -> dict[str, Any]:
    """All numbers of one run."""
    result = _without_times(json.loads((folder / "result.json").read_text()))
    with np.load(folder / "predictions.npz") as stored:
        result["predictions"] = {key: _digest(stored[key].tobytes()) for key in sorted(stored)}
    result["weights file"] = _digest((folder / "weights.safetensors").read_bytes(), 64)
    if result["weights file"] != result["weights_sha256"]:
        result["weights file"] += " is not what the result says"
    result["fingerprint"] = json.loads((folder / "fingerprint.json").read_text())
    return result


def difference(expected: Mapping[str, Any], found: Mapping[str, Any], where: str = "") -> str | None:
    """Say where two results differ first, None where they do not."""
    for key in sorted({*expected, *found}, key=str):
        path = f"{where}{key}"
        if key not in found:
            return f"{path} is missing"
        if key not in expected:
            return f"{path} is there, but should not be"
        ours, theirs = expected[key], found[key]
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            if inner := difference(ours, theirs, f"{path} / "):
                return inner
        elif ours != theirs:
            return f"{path} is {str(theirs)[:120]!r} instead of {str(ours)[:120]!r}"
    return None


def copy(source: Path, place: Path) -> None:
    """Copy a folder with its times, as the place of a trial."""
    shutil.copytree(source, place, dirs_exist_ok=True, symlinks=True)


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_times(inner) for key, inner in value.items() if not TIMES.search(key)}
    return value


def _digest(content: bytes, digits: int = 16) -> str:
    return hashlib.sha256(content).hexdigest()[:digits]
