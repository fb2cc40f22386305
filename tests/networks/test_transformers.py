"""The networks of `transformers` beside the library itself: its processor and its model, on a real clip.

Each family is compared in miniature; every published network is, where time allows it, at its own size, on
the clip that it usually gets or on a smaller one. Those of over 500 million parameters have two layers here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

theirs = pytest.importorskip("transformers")
from vision_transformers import (  # noqa: E402
    CLASSES,
    FAMILIES,
    PUBLISHED,
    Family,
    configured,
    randomise,
    saved,
    tiny,
)

from i3d_lightning.datasets.clips import RGBFrames, WholeVideos  # noqa: E402
from i3d_lightning.datasets.split import Video  # noqa: E402
from i3d_lightning.errors import InputError  # noqa: E402
from i3d_lightning.experiment import Experiment  # noqa: E402
from i3d_lightning.networks import ARCHITECTURES, Architecture, adapter  # noqa: E402
from i3d_lightning.networks import transformers as ours  # noqa: E402
from i3d_lightning.networks.registry import build, check_clips, shapes  # noqa: E402
from i3d_lightning.networks.size import size  # noqa: E402
from i3d_lightning.recipe import Clips, Recipe, Training, compose  # noqa: E402
from i3d_lightning.results.tables import MISSING, architecture_table  # noqa: E402
from i3d_lightning.video import transforms  # noqa: E402
from i3d_lightning.video.decoding import read_clip  # noqa: E402
from i3d_lightning.weights import (  # noqa: E402
    CONVERTERS,
    apply_weights,
    create_model,
    list_weights,
    load,
    load_weights,
)

HEAVY = {"videomae_huge", "vjepa2_vith", "vjepa2_vitg", "vjepa2_vitg_384", "vjepa2_vitg_384_probe"}
"""Of more than 500 million parameters."""
WHOLE = {"videomae_base"}
"""Compared on the clip that it usually gets; the others on four patches a side."""


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
        frames = read_clip(real, 0, case.clips.train_frames, fps=case.clips.fps, short_side=None)
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
        depths = {name: at for at, layer in enumerate(case.network.depths) for name in layer}
        assert depths.keys() == {name for name, _ in case.network.named_parameters()}
        layers = sum(len(m) for m in case.network.modules() if isinstance(m, torch.nn.ModuleList))
        assert set(depths.values()) == set(range(layers + 2))
        first = next(n for n in depths if "patch_embeddings" in n)
        assert (depths[first], depths["classifier.weight"]) == (0, layers + 1)
        between = {
            name: depth for name, depth in depths.items() if re.search(r"temporal_emb|layernorm1\.", name)
        }
        assert set(between.values()) <= {
            depths[name] for name in depths if re.search(r"temporal_layers\.0\.attention", name)
        }
        tokens = {n for n in depths if n.endswith(("query_tokens", "pooling_attention_query", "cls_token"))}
        assert tokens <= set(case.network.undecayed)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Architecture, Family]]:
    for registry in (ARCHITECTURES, CONVERTERS):
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    return tiny


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


def test_without_the_library_one_sentence_says_how_to_install_it(monkeypatch):
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(adapter, "version", version)
    with pytest.raises(
        InputError, match=r"not installed: install it with: pip install 'i3d-lightning\[trans"
    ):
        create_model("videomae_base", classes=3)
    table = architecture_table([ARCHITECTURES["convnet"], ARCHITECTURES["videomae_base"]])
    assert list(table.frame["", "name"]) == ["convnet", "videomae_base"]
    assert table.frame["", "parameters"].iloc[1] == MISSING
    assert table.note.endswith("pip install 'i3d-lightning[transformers]'.")
    monkeypatch.setattr(adapter, "version", lambda name: "5.22.1")
    with pytest.raises(
        InputError, match=r"transformers 5\.22\.1 is too old for this network, which needs 5\.23"
    ):
        create_model("videomae_base", classes=3)


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
@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_the_published_configuration_and_file(name):
    kind, settings, published = PUBLISHED[name]
    family, known = FAMILIES[kind], ARCHITECTURES[name]
    config = configured(family, known.clips, settings)
    config.num_labels = 174
    with torch.device("meta"):
        model = getattr(theirs, family.model)(config)
    predictor = getattr(getattr(model, "vjepa2", model), "predictor", None)
    left_out = sum(p.numel() for p in predictor.parameters()) if predictor else 0
    ours = sum(shape.numel() for shape in shapes(known, 174).values()) + left_out
    head = 174 * (shapes(known, 174)["classifier.weight"][1] + 1)
    assert ours - (head if family.features else 0) == sum(p.numel() for p in model.parameters())
    if published:
        assert ours - (0 if kind == "vjepa2_probe" else head) == published


@pytest.mark.slow
def test_attention_is_counted():
    """VideoMAE ViT-B's 180 billion multiply-adds, a quarter of them attention (arXiv 2203.12602, Table 6)."""
    assert size(ARCHITECTURES["videomae_base"]).multiply_adds == pytest.approx(180e9, rel=0.01)
