"""A network from outside, with published weights whose tensors have foreign names."""

from __future__ import annotations

import hashlib

import pytest
import safetensors.torch
import torch
from torch import nn

from i3d_lightning.errors import InputError
from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks.network import VideoNetwork
from i3d_lightning.recipe import Clips
from i3d_lightning.weights import (
    CONVERTERS,
    WEIGHTS,
    Converter,
    Entry,
    apply_weights,
    create_model,
    load_weights,
)

CLIPS = Clips(fps=15, short_side=16, crop=16, train_frames=4, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))


class Toy(VideoNetwork):
    """A convolution, the mean over space, and a linear layer."""

    feature_size = 4

    def __init__(self, classes: int, stream: str, clips: Clips, training: object) -> None:
        super().__init__(dropout=0.0)
        self.stem = nn.Conv3d(3, 4, 3)
        self.bn = nn.BatchNorm3d(4)
        self.reset_classifier(classes)

    def forward_features(self, *clips: torch.Tensor) -> torch.Tensor:
        return self.bn(self.stem(clips[0])).mean((3, 4))


def rename(state):
    return {name.replace("fc.", "classifier.").replace("conv0.", "stem."): t for name, t in state.items()}


def recognises(state):
    return "conv0.weight" in state


def foreign() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = Toy(3, "rgb", CLIPS, None).state_dict()
    del state["bn.num_batches_tracked"]  # as in old files
    return {name.replace("classifier.", "fc.").replace("stem.", "conv0."): t for name, t in state.items()}


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a module outside the package registers."""
    for registry in (ARCHITECTURES, CONVERTERS, WEIGHTS):
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    ARCHITECTURES.register(Architecture("toy", "Toy", Toy, CLIPS, smallest=(3, 3)))
    CONVERTERS.register(Converter("toys", "toy", recognises, rename))


def save_as_pytorch(state, path):
    torch.save(state, path)


def save_of_data_parallel(state, path):
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)


def save_as_safetensors(state, path):
    safetensors.torch.save_file({name: t.contiguous() for name, t in state.items()}, path)


@pytest.mark.parametrize("save", [save_as_pytorch, save_of_data_parallel, save_as_safetensors])
def test_foreign_names_become_ours(outside, tmp_path, save):
    save(foreign(), tmp_path / "some")
    weights = load_weights(str(tmp_path / "some"))
    assert (weights.architecture, weights.stream, weights.classes) == ("toy", "rgb", 3)
    assert (weights.pretraining, weights.clips) == (None, None)
    network = Toy(3, "rgb", CLIPS, None)
    apply_weights(network, weights, classifier=True)
    assert torch.equal(network.stem.weight, foreign()["conv0.weight"])


def test_published_weights_bring_their_preprocessing(outside, tmp_path, monkeypatch):
    monkeypatch.setenv("I3D_CACHE", str(tmp_path / "cache"))
    torch.save(foreign(), tmp_path / "toy.pth")
    entry = Entry(
        "toy-kinetics",
        architecture="toy",
        stream="rgb",
        pretraining="kinetics",
        top1=50.0,
        top5=70.0,
        source="a test",
        location=(tmp_path / "toy.pth").as_uri(),
        sha256=hashlib.sha256((tmp_path / "toy.pth").read_bytes()).hexdigest(),
        licence="MIT",
        labels=("walk", "run", "jump"),
        clips=CLIPS,
    )
    WEIGHTS.register(entry)
    for name in ("toy-kinetics", str(tmp_path / "toy.pth")):  # known by its content too
        weights = load_weights(name)
        assert (weights.pretraining, weights.labels, weights.clips) == ("kinetics", entry.labels, CLIPS)
        assert weights.provenance == "a test, MIT"
    network = create_model("toy", pretrained="toy-kinetics").eval()
    assert torch.equal(network.classifier.bias, foreign()["fc.bias"])


def test_what_several_recognise_is_refused(outside, tmp_path):
    CONVERTERS.register(Converter("other-toys", "i3d", recognises, rename))
    torch.save(foreign(), tmp_path / "some.pt")
    with pytest.raises(InputError, match=r"some.pt holds weights that toys and other-toys all recognise"):
        load_weights(str(tmp_path / "some.pt"))


def test_what_cannot_be_converted_is_said(outside, tmp_path):
    CONVERTERS.register(
        Converter("picky", "toy", lambda state: "mine" in state, lambda state: state["other"])
    )
    torch.save({"mine": torch.zeros(1)}, tmp_path / "some.pt")
    with pytest.raises(InputError, match=r"some.pt holds weights that picky cannot convert: 'other'"):
        load_weights(str(tmp_path / "some.pt"))


def test_names_that_nobody_knows_are_said(tmp_path):
    torch.save(foreign(), tmp_path / "some.pt")
    with pytest.raises(InputError, match=r"such as conv0.weight, have not the names and shapes of any"):
        load_weights(str(tmp_path / "some.pt"))


def test_a_checksum_must_be_one():
    with pytest.raises(ValueError, match="sha256 '' is not 8 to 64 hexadecimal digits"):
        Entry("x", "i3d", "rgb", "kinetics", 0, 0, "", "", "", "MIT", (), Clips())
