"""The networks of `transformers` beside the library itself: its processor and its model, on a real clip.

Each family is compared in miniature; every published network is, where time allows it, at its own size, on
the clip that it usually gets or on a smaller one. Those of over 500 million parameters have two layers here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import TINY, run_one
from torch import Tensor

from i3d_lightning.datasets.clips import RGBFrames, WholeVideos
from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import ARCHITECTURES, Architecture, adapter
from i3d_lightning.networks import transformers as ours
from i3d_lightning.networks.registry import build, check_clips, shapes
from i3d_lightning.networks.size import size
from i3d_lightning.recipe import Clips, Recipe, Training, compose
from i3d_lightning.study.workspace import Workspace
from i3d_lightning.video import transforms
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.weights import CONVERTERS, apply_weights, create_model, list_weights, load, load_weights
from i3d_lightning.weights import transformers as files

theirs = pytest.importorskip("transformers")

CLASSES = 7


@dataclass(frozen=True)
class Family:
    """A kind of network, in the library's words.

    Attributes:
        model: The library's class whose weights are published.
        config: That of its configuration.
        processor: The library's for these clips.
        features: What the published classifier takes, of what the model says; None where that gives logits.
        tiny: Settings of a small one.
        make: Ours.
        form: How its weights are published.
        shortest: Clip, in frames and pixels.
    """

    model: str
    config: str
    processor: Callable[[Clips], Any]
    features: Callable[[Any], Tensor] | None
    tiny: dict[str, Any]
    make: Callable[..., Any]
    form: Any
    shortest: tuple[int, int]


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def videomae_processor(clips: Clips) -> Any:
    return theirs.VideoMAEVideoProcessor(
        size={"shortest_edge": clips.short_side},
        crop_size=square(clips.crop),
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )


def timesformer_processor(clips: Clips) -> Any:
    return theirs.TimesformerVideoProcessor(
        size={"shortest_edge": clips.short_side},
        crop_size=square(clips.crop),
        image_mean=[0.45, 0.45, 0.45],
        image_std=[0.225, 0.225, 0.225],
    )


def vivit_processor(clips: Clips) -> Any:
    return theirs.VivitVideoProcessor(
        size={"shortest_edge": clips.short_side}, crop_size=square(clips.crop), do_normalize=False
    )


def vjepa2_processor(clips: Clips) -> Any:
    made = theirs.VJEPA2VideoProcessor(crop_size=clips.crop)
    assert made.size["shortest_edge"] == clips.short_side
    return made


def videoprism_processor(clips: Clips) -> Any:
    return theirs.LlavaOnevisionVideoProcessor(size=square(clips.crop), do_normalize=False)


SMALL = {"hidden_size": 32, "num_attention_heads": 2}
TINY_VIT = {**SMALL, "intermediate_size": 64, "num_hidden_layers": 2}
TINY_PRISM = {**SMALL, "intermediate_size": 64, "num_spatial_layers": 2, "num_temporal_layers": 1}

FAMILIES = {
    "videomae": Family(
        "VideoMAEForVideoClassification",
        "VideoMAEConfig",
        videomae_processor,
        None,
        TINY_VIT,
        ours._videomae,
        files.VIDEOMAE,
        (2, 16),
    ),
    "timesformer": Family(
        "TimesformerForVideoClassification",
        "TimesformerConfig",
        timesformer_processor,
        None,
        TINY_VIT,
        ours._timesformer,
        files.TIMESFORMER,
        (1, 16),
    ),
    "vivit": Family(
        "VivitForVideoClassification",
        "VivitConfig",
        vivit_processor,
        None,
        TINY_VIT,
        ours._vivit,
        files.VIVIT,
        (2, 16),
    ),
    "vjepa2": Family(
        "VJEPA2Model",
        "VJEPA2Config",
        vjepa2_processor,
        lambda found: found.last_hidden_state.mean(1),
        {**SMALL, "num_hidden_layers": 2, "pred_num_hidden_layers": 1},
        lambda **size: ours._vjepa2(False, **size),
        files.VJEPA2,
        (2, 16),
    ),
    "vjepa2_probe": Family(
        "VJEPA2ForVideoClassification",
        "VJEPA2Config",
        vjepa2_processor,
        None,
        {**SMALL, "num_hidden_layers": 2, "pred_num_hidden_layers": 1, "num_pooler_layers": 1},
        lambda **size: ours._vjepa2(True, **size),
        files.PROBE,
        (2, 16),
    ),
    "videoprism": Family(
        "VideoPrismVisionModel",
        "VideoPrismVisionConfig",
        videoprism_processor,
        lambda found: found.last_hidden_state.mean(1),
        TINY_PRISM,
        lambda **size: ours._videoprism(False, **size),
        files.VIDEOPRISM,
        (1, 18),
    ),
    "videoprism_lvt": Family(
        "VideoPrismVideoModel",
        "VideoPrismVisionConfig",
        videoprism_processor,
        lambda found: found.pooler_output[:, 0],
        {**TINY_PRISM, "num_auxiliary_layers": 1},
        lambda **size: ours._videoprism(True, **size),
        files.LVT,
        (1, 18),
    ),
}

LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
VITH = {"hidden_size": 1280, "num_attention_heads": 16, "num_hidden_layers": 32}
VITG = {"hidden_size": 1408, "num_attention_heads": 22, "num_hidden_layers": 40, "mlp_ratio": 48 / 11}
PRISM_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_spatial_layers": 24,
}

PUBLISHED: dict[str, tuple[str, dict[str, Any], int]] = {
    "videomae_base": ("videomae", {}, 86_236_416),
    "videomae_large": ("videomae", LARGE, 303_885_312),
    "videomae_huge": ("videomae", HUGE, 0),
    "vjepa2_vitl": ("vjepa2", {}, 325_971_328),
    "vjepa2_vith": ("vjepa2", VITH, 653_930_880),
    "vjepa2_vitg": ("vjepa2", VITG, 1_034_555_264),
    "vjepa2_vitg_384": ("vjepa2", VITG, 1_034_555_264),
    "vjepa2_vitl_probe": ("vjepa2_probe", {}, 375_485_998),
    "vjepa2_vitg_384_probe": ("vjepa2_probe", VITG, 1_128_049_454),
    "timesformer_base": ("timesformer", {}, 121_258_752),
    "timesformer_hr": ("timesformer", {}, 121_716_480),
    "timesformer_large": ("timesformer", {}, 0),
    "vivit_base": ("vivit", {}, 0),
    "videoprism_base": ("videoprism", {}, 0),
    "videoprism_large": ("videoprism", PRISM_LARGE, 0),
    "videoprism_lvt_base": ("videoprism_lvt", {}, 0),
    "videoprism_lvt_large": ("videoprism_lvt", PRISM_LARGE, 0),
}
"""What each published `config.json` says beside the library's defaults, and the parameters of its file as
others count them (https://github.com/embeddings-benchmark/mteb; without classifiers, but for those of probes).
"""

HEAVY = {"videomae_huge", "vjepa2_vith", "vjepa2_vitg", "vjepa2_vitg_384", "vjepa2_vitg_384_probe"}
"""Of more than 500 million parameters."""
WHOLE = {"videomae_base", "timesformer_base", "vivit_base", "videoprism_base"}
"""Compared on the clip that they usually get."""


@dataclass(frozen=True)
class Case:
    """One network, with random weights read from the file that the library saved."""

    architecture: Architecture
    clips: Clips
    network: ours.Transformer
    model: Any
    family: Family
    folder: Path

    def expected(self, frames: Tensor) -> Tensor:
        """Features or logits of the library's own pipeline on decoded frames."""
        inputs = self.family.processor(self.clips)(videos=[frames.movedim(0, 1)], return_tensors="pt")
        more = {"skip_predictor": True} if self.family.model == "VJEPA2Model" else {}
        with torch.no_grad():
            found = self.model(*inputs.values(), **more)
        return found.logits if self.family.features is None else self.family.features(found)

    def found(self, clip: Tensor) -> Tensor:
        """Ours on frames as they are read."""
        with torch.no_grad():
            batch = transforms.normalise(clip[None], self.clips)
            features = self.network.forward_features(batch)
            return (features if self.family.features else self.network.forward_head(features)).squeeze(2)


def randomise(model: torch.nn.Module) -> None:
    """Give every parameter a value of its own, norms and biases too."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            noise = 0.2 * noise + (0 if type(model).__name__.startswith("VideoPrism") else 1)
        elif parameter.ndim < 2:
            noise *= 0.2
        elif not name.endswith(("embeddings", "token", "tokens", "query")):
            noise /= parameter[0].numel() ** 0.5
        parameter.data.copy_(noise)


def configured(family: Family, clips: Clips, settings: dict[str, Any]) -> Any:
    sizes = (
        ("crop_size", "frames_per_clip") if family.config == "VJEPA2Config" else ("image_size", "num_frames")
    )
    given = dict(zip(sizes, (clips.crop, clips.train_frames), strict=True))
    return getattr(theirs, family.config)(**given, **settings, num_labels=CLASSES)


def saved(model: Any, family: Family, folder: Path) -> None:
    """Write a model as its publisher did."""
    if family.model == "VideoPrismVideoModel":  # of which the video-text model is published
        state = {f"video_model.{n}": t for n, t in model.state_dict().items()}
        torch.save({**state, "text_model.layernorm.weight": torch.ones(3)}, folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder)


def tiny(name: str) -> tuple[Architecture, Family]:
    """A small network of a family, registered as the published ones are."""
    family = FAMILIES[name]
    frames, pixels = 2 * family.shortest[0], 2 * family.shortest[1]
    like = next(ARCHITECTURES[n] for n, (kind, _, _) in PUBLISHED.items() if kind == name)
    short_side = {"vjepa2": pixels * 256 // 224, "videoprism": pixels}.get(name.split("_")[0], pixels + 5)
    clips = replace(like.clips, crop=pixels, short_side=short_side, train_frames=frames, test_frames=frames)
    known = replace(like, name=f"tiny-{name}", build=family.make(**family.tiny), clips=clips)
    ARCHITECTURES.register(known)
    files._converter(known.name, family.form, SMALL["hidden_size"])
    return known, family


def own_size(name: str) -> tuple[Architecture, Family, dict[str, Any]]:
    """A published network, with fewer layers where there are too many to hold several times."""
    kind, settings, _ = PUBLISHED[name]
    family, known = FAMILIES[kind], ARCHITECTURES[name]
    clips = known.clips
    if name in HEAVY:
        settings = {**settings, "num_hidden_layers": 2}
        known = replace(known, build=family.make(**settings))
        ARCHITECTURES._known[name] = known
    if name not in WHOLE:
        pixels, frames = 4 * family.shortest[1], 4 * family.shortest[0]
        side = int(clips.short_side / clips.crop * pixels)
        clips = replace(clips, crop=pixels, short_side=side, train_frames=frames, test_frames=frames)
        known = replace(known, clips=clips)
        ARCHITECTURES._known[name] = known
    return known, family, settings


@pytest.fixture(
    scope="class", params=[*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED)]
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    name = request.param
    with pytest.MonkeyPatch.context() as patched:
        for registry in (ARCHITECTURES, CONVERTERS):
            patched.setattr(registry, "_known", dict(registry._known))
        if name in FAMILIES:
            known, family = tiny(name)
            settings = family.tiny
        else:
            known, family, settings = own_size(name)
        model = getattr(theirs, family.model)(configured(family, known.clips, settings)).eval()
        randomise(model)
        folder = tmp_path_factory.mktemp("saved")
        saved(model, family, folder)
        weights = load_weights(str(folder), architecture=known.name)
        assert weights.architecture == known.name
        network = known.build(CLASSES, "rgb", known.clips, Training()).eval()
        apply_weights(network, weights, classifier=family.features is None)
        yield Case(known, known.clips, network, model, family, folder)
        load._read.cache_clear()
        shapes.cache_clear()
        for file in folder.iterdir():
            file.unlink()


@pytest.fixture(scope="module")
def real(assets: Path) -> Path:
    return next(iter(sorted((assets / "ucf101").rglob("v_*.avi"))))


class TestBesideTheLibrary:
    def test_a_real_clip_gives_what_the_librarys_own_pipeline_gives(self, case, real):
        """Its processor and its model, in evaluation; and other frames give something else."""
        whole = WholeVideos([Video(real.name, real, 0, "one")], [RGBFrames.of(case.clips)], case.clips)
        (clip,) = whole[0]["clips"]
        frames = read_clip(real, 0, case.clips.test_frames, fps=case.clips.fps, short_side=None)
        found, expected = case.found(clip[:, : case.clips.train_frames]), case.expected(frames)
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
        assert expected.std() > 0.1 * expected.abs().mean()
        other = case.found(clip[:, : case.clips.train_frames].flip(-1))
        assert (other - expected).abs().max() > 1e-2 * expected.abs().max()

    def test_a_new_head_and_the_rest_as_it_was(self, case):
        weights = load_weights(str(case.folder), architecture=case.architecture.name)
        network = case.architecture.build(3, "rgb", case.clips, Training()).eval()
        before = network.classifier.weight.clone()
        apply_weights(network, weights, classifier=False)
        assert torch.equal(network.classifier.weight, before)
        clip = torch.rand(1, 3, case.clips.train_frames, case.clips.crop, case.clips.crop)
        with torch.no_grad():
            assert torch.equal(network.forward_features(clip), case.network.forward_features(clip))
            assert network(clip).shape == (1, 3, 1)
            network.reset_classifier(5)
            assert network(clip).shape == (1, 5, 1)

    def test_gradients_reach_every_layer(self, case):
        network = case.architecture.build(4, "rgb", case.clips, Training(dropout=0.0)).train()
        apply_weights(
            network, load_weights(str(case.folder), architecture=case.architecture.name), classifier=False
        )
        torch.manual_seed(0)
        torch.nn.init.normal_(network.classifier.weight)
        clip = torch.randn(1, 3, case.clips.train_frames, case.clips.crop, case.clips.crop)
        F.cross_entropy(network.pool_time(network(clip)), torch.tensor([1])).backward()
        silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
        # The bias of keys changes no softmax, and a VideoPrism query alone is scaled.
        assert {n for n in silent if not n.endswith(("key.bias", "k_proj.bias"))} == set()

    def test_a_longer_clip_is_seen_as_windows(self, case):
        frames = case.clips.train_frames
        clip = torch.randn(1, 3, 2 * frames + 1, case.clips.crop, case.clips.crop)
        with torch.no_grad():
            features = case.network.forward_features(clip)
            each = [
                case.network.forward_features(clip[:, :, start : start + frames])
                for start in (0, frames, frames + 1)
            ]
        torch.testing.assert_close(features, torch.cat(each, dim=2), rtol=1e-4, atol=1e-5)

    def test_other_sizes_are_refused(self, case):
        pixels = case.architecture.multiple[1]
        known = case.architecture
        with pytest.raises(InputError, match=f"{known.name} takes multiples of {pixels}"):
            check_clips(known, replace(case.clips, crop=case.clips.crop - 1, test_crop=0))
        with pytest.raises(InputError, match=f"{known.name} is built for one size"):
            side = case.clips.crop + pixels
            check_clips(known, replace(case.clips, short_side=side + 1, test_crop=side))
        with pytest.raises(InputError, match=f"{known.name} takes {pixels} or more"):
            check_clips(known, replace(case.clips, crop=8))

    def test_layers_are_numbered_from_the_embeddings_to_the_head(self, case):
        depths = case.network.depths()
        assert depths.keys() == {name for name, _ in case.network.named_parameters()}
        layers = sum(len(m) for m in case.network.modules() if isinstance(m, torch.nn.ModuleList))
        assert set(depths.values()) == set(range(layers + 2))
        first = next(n for n in depths if "patch_embeddings" in n)
        assert (depths[first], depths["classifier.weight"]) == (0, layers + 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Architecture, Family]]:
    for registry in (ARCHITECTURES, CONVERTERS):
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    return tiny


def saved_model(known: Architecture, family: Family, folder: Path, **more: Any) -> Any:
    torch.manual_seed(0)
    config = configured(family, known.clips, {**family.tiny, **more})
    model = getattr(theirs, family.model)(config).eval()
    randomise(model)
    model.save_pretrained(folder)
    return model


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


def test_fixed_leaves_weights_from_a_folder_as_they_are_and_knows_their_classes(small, tiny_ucf, tmp_path):
    known, family = small("videomae")
    labels = {str(index): f"class {index}" for index in range(CLASSES)}
    saved_model(known, family, tmp_path / "saved", id2label=labels)
    before = load_weights(str(tmp_path / "saved"))
    assert before.labels == tuple(labels.values())
    space = Workspace(tmp_path / "runs", tmp_path / "cache")
    changes = {
        "training": {name: value for name, value in TINY["training"].items() if name != "stages"},
        "clips": {"crop": 32, "short_side": 32, "train_frames": 4, "test_frames": 8, "flip": False},
    }
    experiment = Experiment(known.name, "rgb", "kinetics", "fixed", "ucf101")
    done = run_one(experiment, space, root=tiny_ucf, weights=tmp_path / "saved", changes=changes)
    after = load_weights(str(done.folder / "weights.safetensors")).state
    body = {name for name in before.state if name.startswith("body.")}
    assert all(torch.equal(before.state[name], after[name]) for name in body)
    assert done.metrics["videos"] == 8


def test_gradients_are_the_same_with_activations_computed_again(small):
    known, _ = small("vivit")
    gradients = []
    for again in (False, True):
        changes = {"training": {"activation_checkpointing": again, "dropout": 0.0}}
        torch.manual_seed(0)
        recipe = compose(Recipe(clips=known.clips), changes)
        network = build(Experiment(known.name, "rgb", "none", "origin", "ucf101"), 3, recipe).train()
        assert network.activation_checkpointing is again
        clip = torch.randn(2, 3, known.clips.train_frames, 32, 32, generator=torch.Generator().manual_seed(1))
        network.pool_time(network(clip)).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


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


def test_without_the_library_one_sentence_says_how_to_install_it(monkeypatch):
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(adapter, "version", version)
    with pytest.raises(
        InputError, match=r"not installed: install it with: pip install 'i3d-lightning\[trans"
    ):
        create_model("videomae_base", classes=3)
    monkeypatch.setattr(adapter, "version", lambda name: "5.22.1")
    with pytest.raises(
        InputError, match=r"transformers 5\.22\.1 is too old for this network, which needs 5\.23"
    ):
        create_model("videomae_base", classes=3)


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


def test_every_network_is_compared_and_has_its_weights_and_licence():
    names = {a.name for a in ARCHITECTURES if a.library == ours.LIBRARY}
    assert names == PUBLISHED.keys()
    entries = [e for e in list_weights() if e.architecture in names]
    assert names - {e.architecture for e in entries} == {"timesformer_large"}
    licences = {e.name: e.licence for e in entries}
    assert licences["videomae-base"] == licences["timesformer-base-finetuned-k400"] == "CC-BY-NC-4.0"
    assert (licences["vjepa2-vitl-fpc64-256"], licences["videoprism-base-f16r288"]) == ("MIT", "Apache-2.0")
    assert all((e.top1 is None) == (e.views == "whole") for e in entries)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, _, parameters) in PUBLISHED.items() if parameters])
def test_parameters_are_those_of_the_published_files(name):
    kind, settings, published = PUBLISHED[name]
    family, known = FAMILIES[kind], ARCHITECTURES[name]
    parameters = size(known, 174).parameters
    with torch.device("meta"):
        model = getattr(theirs, family.model)(configured(family, known.clips, settings))
    predictor = getattr(getattr(model, "vjepa2", model), "predictor", None)
    left_out = sum(p.numel() for p in predictor.parameters()) if predictor else 0
    head = 0 if kind == "vjepa2_probe" else 174 * (shapes(known, 174)["classifier.weight"][1] + 1)
    assert parameters + left_out - head == published


@pytest.mark.slow
def test_attention_is_counted():
    """VideoMAE ViT-B's 180 billion multiply-adds, a quarter of them attention (arXiv 2203.12602, Table 6)."""
    assert size(ARCHITECTURES["videomae_base"]).multiply_adds == pytest.approx(180e9, rel=0.01)
