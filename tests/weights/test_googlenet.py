"""ImageNet weights in torchvision's layout, made locally: by name through torch.hub's cache, and inflated."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch
from torchvision.models import googlenet

from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES
from i3d_lightning.networks.c3d import C3D
from i3d_lightning.networks.convnet import ConvNet
from i3d_lightning.networks.fused_3d import Fused3D
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.networks.two_stream import TwoStream
from i3d_lightning.weights import apply_weights, list_weights, load_weights, registry, start_from_images


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("googlenet") / "made-here.pth"
    torch.save(googlenet(weights=None, init_weights=False, aux_logits=True).state_dict(), path)
    return path


def test_every_tensor_has_its_place(file):
    weights = load_weights(str(file))
    assert (weights.architecture, weights.stream, weights.pretraining) == ("convnet", "rgb", "imagenet")
    network = ConvNet(1000)
    apply_weights(network, weights, classifier=True)
    theirs = torch.load(file, weights_only=True)
    assert torch.equal(network.classifier.weight, theirs["fc.weight"])
    ours = network.inception.Mixed_4e.branch2[1]
    assert torch.equal(ours.conv.weight, theirs["inception4d.branch3.1.conv.weight"])
    assert torch.equal(ours.bn.weight, theirs["inception4d.branch3.1.bn.weight"])


def test_by_name_it_comes_through_torch_hubs_cache(file, tmp_path, monkeypatch):
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (entry,) = list_weights("inception-v1-imagenet")
    near = tmp_path / f"googlenet-{sha256[:8]}.pth"
    near.write_bytes(file.read_bytes())
    local = dataclasses.replace(entry, location=registry.TorchHub(near.as_uri()), sha256=sha256[:8])
    monkeypatch.setitem(registry.WEIGHTS._known, entry.name, local)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    weights = load_weights("inception-v1-imagenet")
    assert (tmp_path / "hub" / "checkpoints" / near.name).is_file()
    assert weights.labels[:2] == ("tench", "goldfish")
    near.unlink()
    assert load_weights("inception-v1-imagenet").sha256 == sha256  # from the cache
    (tmp_path / "hub" / "checkpoints" / near.name).write_bytes(b"damaged")
    with pytest.raises(InputError, match="Could not fetch 'inception-v1-imagenet'"):
        load_weights("inception-v1-imagenet")


def test_every_inception_of_a_network_starts_from_it(file):
    weights = load_weights(str(file))
    stem = torch.load(file, weights_only=True)["conv1.conv.weight"]
    i3d, joint, fused = I3D(5), TwoStream(5, "joint"), Fused3D(5, "flow")
    classifier = i3d.classifier.weight.clone()
    for network, name in ((i3d, "i3d"), (joint, "two-stream"), (fused, "fused-3d")):
        start_from_images(network, weights, ARCHITECTURES[name], "mean")
    torch.testing.assert_close(i3d.inception.Conv3d_1a_7x7.conv.weight.sum(2), stem)
    assert torch.equal(i3d.classifier.weight, classifier)
    assert torch.equal(joint.rgb.Conv2d_1a_7x7.conv.weight, stem)
    for flow in (joint.flow, fused.flow):
        torch.testing.assert_close(flow.Conv2d_1a_7x7.conv.weight.sum(1), stem.sum(1))
    assert joint.flow.Conv2d_1a_7x7.conv.weight.shape[1] == 20


def test_other_weights_are_no_start(file, tmp_path):
    state = torch.load(file, weights_only=True)
    del state["inception3a.branch1.conv.weight"]
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(InputError, match=r"cannot be inflated: .*Mixed_3b\.branch0\.conv\.weight is missing"):
        start_from_images(I3D(5), load_weights(str(tmp_path / "cut.pth")), ARCHITECTURES["i3d"], "mean")


def test_a_network_without_a_counterpart_among_images_says_so(file):
    with pytest.raises(InputError, match="c3d cannot start from images"):
        start_from_images(C3D(5), load_weights(str(file)), ARCHITECTURES["c3d"], "mean")
