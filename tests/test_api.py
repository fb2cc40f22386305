"""What `import i3d_lightning` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import i3d_lightning
from i3d_lightning.errors import InputError
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.recipe import Clips
from i3d_lightning.weights import save_weights


def test_nothing_is_imported_before_it_is_used():
    code = "import sys, i3d_lightning; print('torch' in sys.modules, 'Predictor' in dir(i3d_lightning))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_all_that_is_offered_is_there():
    for name in i3d_lightning.__all__:
        assert callable(getattr(i3d_lightning, name))
    with pytest.raises(AttributeError, match="module 'i3d_lightning' has no attribute 'predictor_'"):
        i3d_lightning.predictor_  # noqa: B018


def test_networks_and_weights_are_listed():
    assert i3d_lightning.list_models("*3d") == ["c3d", "fused-3d", "i3d", "s3d"]
    assert [e.name for e in i3d_lightning.list_weights("*flow*")] == ["i3d-flow-imagenet-kinetics400"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "i3d.safetensors"
    said = {"architecture": "i3d", "stream": "rgb", "pretraining": "kinetics", "labels": ("a", "b", "c")}
    save_weights(path, I3D(3), **said, clips=Clips())
    return str(path)


def test_a_network_is_made_from_scratch():
    network = i3d_lightning.create_model("i3d", classes=4, stream="flow").eval()
    with torch.inference_mode():
        logits = network.pool_time(network(torch.zeros(1, 2, 9, 32, 32)))
    assert logits.shape == (1, 4)


@pytest.mark.parametrize(("classes", "same"), [(None, True), (3, True), (4, False)])
def test_a_network_is_made_from_weights(weights, classes, same):
    state = i3d_lightning.load_weights(weights).state
    network = i3d_lightning.create_model("i3d", classes, pretrained=weights)
    stem = "inception.Conv3d_1a_7x7.conv.weight"
    assert torch.equal(network.state_dict()[stem], state[stem])
    ours = network.classifier.weight
    assert len(ours) == (classes or 3)
    assert same == (ours.shape == (3, 1024) and torch.equal(ours, state["classifier.weight"]))


def test_a_network_starts_from_images(tmp_path):
    torch.manual_seed(0)
    images = i3d_lightning.create_model("convnet", 5)
    said = {"architecture": "convnet", "stream": "rgb", "pretraining": "imagenet", "labels": None}
    save_weights(tmp_path / "images", images, **said, clips=None)
    network = i3d_lightning.create_model("i3d", 4, pretrained=str(tmp_path / "images"))
    stem = network.inception.Conv3d_1a_7x7.conv.weight
    torch.testing.assert_close(stem.sum(2), images.inception.Conv2d_1a_7x7.conv.weight)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"architecture": "i4d", "classes": 3}, "Unknown architecture 'i4d': did you mean 'i3d'"),
        ({"architecture": "i3d", "classes": 3, "stream": "joint"}, "Unknown stream 'joint'.*flow, rgb"),
        ({"architecture": "i3d"}, "Say how many classes i3d is to tell apart"),
        ({"architecture": "c3d", "classes": 3, "pretrained": True}, "has weights of i3d, not of c3d"),
        ({"architecture": "i3d", "stream": "flow", "pretrained": True}, "rgb weights, the network is flow"),
    ],
)
def test_what_cannot_be_made_says_why(weights, asked, message):
    if "pretrained" in asked:
        asked = {**asked, "pretrained": weights}
    with pytest.raises(InputError, match=message):
        i3d_lightning.create_model(**asked)
