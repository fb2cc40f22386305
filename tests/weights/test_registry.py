"""What is said of published weights."""

from __future__ import annotations

import json
import re

import pytest

from i3d_lightning.experiment import stages
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.weights import imagenet_labels, kinetics400_labels, list_weights
from i3d_lightning.weights.registry import SourcePackage, TorchHub

PAPERS = [entry for entry in list_weights() if not ARCHITECTURES[entry.architecture].library]
"""Those of the paper's networks; what is said of another library's is compared with it in its own test."""


def test_patterns_choose_by_name():
    assert [entry.name for entry in PAPERS] == [
        "i3d-rgb-kinetics400",
        "i3d-rgb-imagenet-kinetics400",
        "i3d-flow-imagenet-kinetics400",
        "inception-v1-imagenet",
    ]
    assert [entry.name for entry in list_weights("*flow*")] == ["i3d-flow-imagenet-kinetics400"]
    assert list_weights("c3d*") == []


@pytest.mark.parametrize("entry", PAPERS, ids=lambda entry: entry.name)
def test_entries_are_complete(entry):
    assert entry.stream in ARCHITECTURES[entry.architecture].streams
    assert set(stages(entry.pretraining)) <= {"imagenet", "kinetics"}
    assert (entry.flow is None) == (entry.stream == "rgb")
    assert (entry.clips.fps, entry.clips.short_side, entry.clips.crop) == (25, 256, 224)
    labels = imagenet_labels() if entry.pretraining == "imagenet" else kinetics400_labels()
    assert entry.class_names == labels
    assert len(labels) == (1000 if entry.pretraining == "imagenet" else 400)
    assert json.loads(json.dumps(entry.as_json()))["classes"] == len(labels)
    hashes = [entry.sha256]
    if isinstance(entry.location, SourcePackage):
        hashes.append(entry.location.sha256)
    if isinstance(entry.location, TorchHub):  # its file name holds what is published of the hash
        assert entry.location.url.endswith(f"-{entry.sha256}.pth")
    else:
        assert all(h is None or re.fullmatch("[0-9a-f]{64}", h) for h in hashes)


def test_labels_are_the_official_list(assets):
    official = (assets / "labels" / "kinetics400_label_map.txt").read_text().splitlines()
    assert kinetics400_labels() == tuple(official)
