"""Weights of `transformers`' networks, as published and as the library saves them: files and folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import TINY, run_one

theirs = pytest.importorskip("transformers")
from vision_transformers import CLASSES, SMALL, Family, configured, randomise, saved_model, tiny  # noqa: E402

from i3d_lightning.errors import InputError  # noqa: E402
from i3d_lightning.experiment import Experiment  # noqa: E402
from i3d_lightning.networks import ARCHITECTURES, Architecture  # noqa: E402
from i3d_lightning.recipe import Training  # noqa: E402
from i3d_lightning.study.workspace import Workspace  # noqa: E402
from i3d_lightning.weights import CONVERTERS, apply_weights, load, load_weights  # noqa: E402
from i3d_lightning.weights import transformers as files  # noqa: E402


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Architecture, Family]]:
    for registry in (ARCHITECTURES, CONVERTERS):
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    return tiny


def test_the_biases_of_queries_and_values_are_those_of_the_file(small, tmp_path):
    """Which versions of the library before 5.23 set to zero."""
    known, family = small("videomae")
    model = saved_model(known, family, tmp_path)
    state = load_weights(str(tmp_path)).state
    for number, layer in enumerate(model.videomae.encoder.layer):
        name = f"body.videomae.encoder.layer.{number}.attention.attention"
        for part in ("query", "value"):
            bias = getattr(layer.attention.attention, part).bias
            assert bias.abs().min() > 0
            assert torch.equal(state[f"{name}.{part}.bias"], bias)
    assert torch.equal(state["body.fc_norm.weight"], model.fc_norm.weight)


@pytest.mark.parametrize("names", ["the library's", "the publisher's"])
def test_a_pretrained_videomae_begins_its_last_normalisation_anew(small, tmp_path, names):
    known, family = small("videomae")
    files._converter(known.name, files.VIDEOMAE_PRETRAINED, SMALL["hidden_size"])
    config = configured(family, known.clips, {**family.tiny, "use_mean_pooling": False})
    model = theirs.VideoMAEForPreTraining(config)
    randomise(model)
    state = model.state_dict()
    if names == "the publisher's":
        state = {
            n.replace(".query.bias", ".q_bias").replace(".value.bias", ".v_bias"): t for n, t in state.items()
        }
    torch.save(state, tmp_path / "pytorch_model.bin")
    weights = load_weights(str(tmp_path))
    assert (weights.architecture, weights.classes) == (known.name, None)
    network = known.build(3, "rgb", known.clips, Training()).eval()
    apply_weights(network, weights, classifier=False)
    clip = torch.randn(1, 3, known.clips.train_frames, known.clips.crop, known.clips.crop)
    with torch.no_grad():
        hidden = clip.transpose(1, 2)
        hidden = model.videomae.encoder(model.videomae.embeddings(hidden, None)).last_hidden_state
        expected = F.layer_norm(hidden.mean(1), hidden.shape[-1:])
        torch.testing.assert_close(network.forward_features(clip)[..., 0], expected, rtol=1e-4, atol=1e-5)


def test_a_folder_says_which_clips_its_weights_are_for(small, tmp_path):
    known, family = small("vjepa2")
    saved_model(known, family, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert load_weights(str(tmp_path)).clips is None  # the network's own
    frames = 2 * known.clips.train_frames
    (tmp_path / "config.json").write_text(json.dumps({**config, "frames_per_clip": frames}))
    load._read.cache_clear()
    assert load_weights(str(tmp_path)).clips.train_frames == frames
    (tmp_path / "config.json").write_text(json.dumps({**config, "crop_size": 384}))
    load._read.cache_clear()
    with pytest.raises(InputError, match=f"for frames of 384 px, .* takes {known.clips.crop}: say"):
        load_weights(str(tmp_path))


def test_fixed_leaves_weights_from_a_folder_as_they_are_and_knows_their_classes(small, tiny_ucf, tmp_path):
    known, family = small("videomae")
    labels = {str(index): f"class {index}" for index in range(CLASSES)}
    saved_model(known, family, tmp_path / "saved", id2label=labels)
    before = load_weights(str(tmp_path / "saved"))
    assert before.labels == tuple(labels.values())
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    changes = {
        "training": {
            **{name: value for name, value in TINY["training"].items() if name != "stages"},
            "warmup_steps": 0,
        },
        "clips": {"crop": 32, "short_side": 32, "train_frames": 4, "test_frames": 8, "flip": False},
    }
    experiment = Experiment(known.name, "rgb", "kinetics", "fixed", "ucf101")
    done = run_one(experiment, space, root=tiny_ucf, weights=tmp_path / "saved", changes=changes)
    after = load_weights(str(done.folder / "weights.safetensors")).state
    body = {name for name in before.state if name.startswith("body.")}
    assert all(torch.equal(before.state[name], after[name]) for name in body)
    assert done.metrics["videos"] == 8


def test_class_names_beside_other_weights_are_not_theirs(small, tmp_path):
    known, family = small("videomae")
    saved_model(known, family, tmp_path)
    assert load_weights(str(tmp_path)).labels is None  # LABEL_0, LABEL_1, ... are none
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "one", "1": "two"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    load._read.cache_clear()
    assert load_weights(str(tmp_path)).labels is None


def test_weights_in_several_files_are_refused(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match="several files: save them as one"):
        load_weights(str(tmp_path))


def test_weights_of_two_networks_alike_are_asked_for(small, tmp_path):
    """As those of V-JEPA 2's ViT-g for 256 px and for 384 px are, whose positions are no parameters."""
    known, family = small("vjepa2")
    other = replace(known, name="tiny-vjepa2-larger")
    ARCHITECTURES.register(other)
    files._converter(other.name, family.form, SMALL["hidden_size"])
    saved_model(known, family, tmp_path)
    with pytest.raises(InputError, match=f"{known.name} and {other.name} have alike: say which they are of"):
        load_weights(str(tmp_path))
    assert load_weights(str(tmp_path), architecture=other.name).architecture == other.name
