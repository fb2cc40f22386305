"""Weights of the networks of `transformers`, as they are published on Hugging Face and as it saves them.

Two checksums are pinned: several independent projects publish the same. Files of which none is known are not
fetched by name: they are given by path, or as a folder that holds them (see `weights.hub`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from i3d_lightning.networks.adapter import BODY
from i3d_lightning.networks.network import CLASSIFIER
from i3d_lightning.networks.registry import ARCHITECTURES, shapes
from i3d_lightning.pretraining import Corpus
from i3d_lightning.pretraining import register as register_corpus
from i3d_lightning.weights import converters, registry

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Form:
    """A kind of file.

    Attributes:
        sign: A tensor that it has, and no other kind; its first dimension is the network's width.
        rename: Gives our names; of a file without the classifier, all but that.
        suffix: Of the converter's name, where a network has several.
    """

    sign: str
    rename: Callable[[State], dict[str, Tensor]]
    suffix: str = ""


def _ours(state: State, names: Callable[[str], str | None]) -> dict[str, Tensor]:
    """Rename the body's tensors; None leaves one out."""
    renamed = {}
    for name, tensor in state.items():
        if name.startswith(CLASSIFIER):
            renamed[name] = tensor
        elif (new := names(name)) is not None:
            renamed[BODY + new] = tensor
    return renamed


def _without(*prefixes: str) -> Callable[[str], str | None]:
    return lambda name: None if name.startswith(prefixes) else name


def _videomae(name: str) -> str | None:
    name = re.sub(r"\.q_bias$", ".query.bias", name)  # as in all files, whatever the library calls them now
    return re.sub(r"\.v_bias$", ".value.bias", name)


def _videomae_pretrained(state: State) -> dict[str, Tensor]:
    """Leave out the decoder and the encoder's last norm, and begin that of the mean of all tokens anew.

    So do its authors where they fine-tune (https://github.com/MCG-NJU/VideoMAE, run_class_finetuning.py).
    """
    left = _without("decoder.", "encoder_to_decoder.", "mask_token", "videomae.layernorm.")
    ours = _ours({n: t for n, t in state.items() if left(n)}, _videomae)
    like = state["videomae.layernorm.weight"]
    return {
        **ours,
        f"{BODY}fc_norm.weight": torch.ones_like(like),
        f"{BODY}fc_norm.bias": torch.zeros_like(like),
    }


def _vivit(name: str) -> str | None:
    name = re.sub(r"\bencoder\.layer\.", "layers.", name)
    name = re.sub(r"\battention\.attention\.(query|key|value)\b", lambda m: f"attention.{m[1][0]}_proj", name)
    for old, new in (("attention.output.dense", "attention.o_proj"), ("intermediate.dense", "mlp.fc1")):
        name = name.replace(old, new)
    return name.replace("output.dense", "mlp.fc2")


def _encoder(name: str) -> str | None:
    return None if name.startswith("predictor.") else name.removeprefix("encoder.")


def _video_tower(name: str) -> str | None:
    return None if name.startswith("text_model.") else name.removeprefix("video_model.")


_PATCHES = "embeddings.patch_embeddings.projection.weight"
VIDEOMAE = _Form("fc_norm.weight", lambda s: _ours(s, _videomae))
VIDEOMAE_PRETRAINED = _Form("videomae.layernorm.weight", _videomae_pretrained, "-pretraining")
TIMESFORMER = _Form(f"timesformer.{_PATCHES}", lambda s: _ours(s, _without()))
VIVIT = _Form(f"vivit.{_PATCHES}", lambda s: _ours(s, _vivit))
VJEPA2 = _Form("encoder.embeddings.patch_embeddings.proj.weight", lambda s: _ours(s, _encoder))
PROBE = _Form(
    "vjepa2.encoder.embeddings.patch_embeddings.proj.weight",
    lambda s: _ours(s, _without("vjepa2.predictor.")),
)
VIDEOPRISM = _Form(f"spatial_{_PATCHES}", lambda s: _ours(s, _without()))
LVT = _Form(f"video_model.vision_model.spatial_{_PATCHES}", lambda s: _ours(s, _video_tower))


def _converter(architecture: str, form: _Form, width: int) -> None:
    def recognises(state: State) -> bool:
        if form.sign not in state or state[form.sign].shape[:1] != (width,):
            return False
        found = {name: tensor.shape for name, tensor in form.rename(state).items()}
        classes = (*found.get(f"{CLASSIFIER}weight", ()), 1)[0]
        wanted = shapes(ARCHITECTURES[architecture], classes)
        if f"{CLASSIFIER}weight" not in found:
            wanted = {name: shape for name, shape in wanted.items() if not name.startswith(CLASSIFIER)}
        return found == wanted

    converters.register(
        converters.Converter(architecture + form.suffix, architecture, recognises, form.rename)
    )


for _size, _width in (("base", 768), ("large", 1024), ("huge", 1280)):
    _converter(f"videomae_{_size}", VIDEOMAE, _width)
    _converter(f"videomae_{_size}", VIDEOMAE_PRETRAINED, _width)
for _size in ("base", "hr", "large"):
    _converter(f"timesformer_{_size}", TIMESFORMER, 768)
_converter("vivit_base", VIVIT, 768)
for _size, _width in (("vitl", 1024), ("vith", 1280), ("vitg", 1408), ("vitg_384", 1408)):
    _converter(f"vjepa2_{_size}", VJEPA2, _width)
for _size, _width in (("vitl", 1024), ("vitg_384", 1408)):
    _converter(f"vjepa2_{_size}_probe", PROBE, _width)
for _size, _width in (("base", 768), ("large", 1024)):
    _converter(f"videoprism_{_size}", VIDEOPRISM, _width)
    _converter(f"videoprism_lvt_{_size}", LVT, _width)


register_corpus(Corpus("kinetics-mae", "Kinetics-400, masked autoencoding", labels=False))
register_corpus(Corpus("videomix22m", "VideoMix22M (videos and images), masked features", labels=False))
register_corpus(Corpus("ssv2", "Something-Something v2"))
register_corpus(Corpus("webli-videos", "WebLI's images and videos with texts of theirs", labels=False))


def _entry(
    repository: str,
    architecture: str,
    pretraining: str,
    licence: str,
    citation: str,
    *,
    revision: str = "main",
    sha256: str | None = None,
    top1: float | None = None,
    top5: float | None = None,
    views: str = "whole",
    labels: Callable[[], tuple[str, ...]] | tuple[str, ...] = (),
) -> None:
    site = f"https://huggingface.co/{repository}"
    registry.register(
        registry.Entry(
            repository.split("/")[1],
            architecture=architecture,
            stream="rgb",
            pretraining=pretraining,
            top1=top1,
            top5=top5,
            source=f"{repository} on Hugging Face",
            location=f"{site}/resolve/{revision}/model.safetensors" if sha256 else f"{site}/tree/{revision}",
            sha256=sha256,
            licence=licence,
            labels=labels,
            clips=ARCHITECTURES[architecture].clips,
            citation=f"https://arxiv.org/abs/{citation}",
            views=views,
        )
    )


# Accuracies are those of the model cards, as the authors' MODEL_ZOO.md had them then; it has more by now.
for _name, _architecture, _revision, _top1, _top5 in (
    ("videomae-base", "videomae_base", "dc740ceda42fce44faed2ea03c6d447db72f6af9", None, None),
    ("videomae-large", "videomae_large", "12da269a02d3e1fbbb7011e610e591fea8061dca", None, None),
    (
        "videomae-base-finetuned-kinetics",
        "videomae_base",
        "488eb9a0565f257b32866000305c8178965eb9f6",
        80.9,
        94.7,
    ),
    ("videomae-large-finetuned-kinetics", "videomae_large", "main", 84.7, 96.5),
    ("videomae-huge-finetuned-kinetics", "videomae_huge", "main", 86.6, 97.1),
):
    _entry(
        f"MCG-NJU/{_name}",
        _architecture,
        "kinetics-mae+kinetics" if _top1 else "kinetics-mae",
        "CC-BY-NC-4.0",
        "2203.12602",
        revision=_revision,
        top1=_top1,
        top5=_top5,
        views="5x3" if _top1 else "whole",
        labels=registry.kinetics400_labels if _top1 else (),
    )

for _name, _architecture, _revision, _sha256, _licence in (
    (
        "vjepa2-vitl-fpc64-256",
        "vjepa2_vitl",
        "b3c1679b7c34d3255ef3547f27c7b226aefab26f",
        "25466aef85727d16546c6cf8c99f12fcfad9cbca8225d45f23685e2e025b786b",
        "MIT",
    ),
    ("vjepa2-vith-fpc64-256", "vjepa2_vith", "b5eac8703e3efdc1547fbb6ddfbeb133dc0bdee5", None, "MIT"),
    (
        "vjepa2-vitg-fpc64-256",
        "vjepa2_vitg",
        "875c192b7b704b87d1e1d99345769632dd5f739a",
        "f205e77aa2ade168db6b09d4bc420d156141f64ab964278a9c181a2bdf2a232b",
        "Apache-2.0",
    ),
    (
        "vjepa2-vitg-fpc64-384",
        "vjepa2_vitg_384",
        "12ca91694b230e0d4b5b0078af6f4ae1d51e933d",
        None,
        "Apache-2.0",
    ),
):
    _entry(
        f"facebook/{_name}",
        _architecture,
        "videomix22m",
        _licence,
        "2506.09985",
        revision=_revision,
        sha256=_sha256,
    )

# On Something-Something v2 (https://github.com/facebookresearch/vjepa2), whose class names are not known
# here: those of config.json are used, where it lies beside the weights.
for _name, _architecture, _revision, _top1 in (
    ("vjepa2-vitl-fpc16-256-ssv2", "vjepa2_vitl_probe", "4aa02df83918538fc21cfaf576382fa20e489a80", 73.7),
    ("vjepa2-vitg-fpc64-384-ssv2", "vjepa2_vitg_384_probe", "9f5fd615cb6f79065a28edcf1cc3ef25010dddfa", 77.3),
):
    _entry(
        f"facebook/{_name}",
        _architecture,
        "videomix22m+ssv2",
        "MIT",
        "2506.09985",
        revision=_revision,
        top1=_top1,
        views="2x3",
    )

# https://github.com/facebookresearch/TimeSformer, README.md and configs/Kinetics/*_TEST.yaml.
for _size, _revision, _top1, _top5 in (
    ("base", "8aaf40ea7d3d282dcb0a5dea01a198320d15d6c0", 77.9, 93.2),
    ("hr", "188026c3022e39dac25da0111f9a015603915775", 79.6, 94.0),
):
    _entry(
        f"facebook/timesformer-{_size}-finetuned-k400",
        f"timesformer_{_size}",
        "imagenet22k+kinetics",
        "CC-BY-NC-4.0",
        "2102.05095",
        revision=_revision,
        top1=_top1,
        top5=_top5,
        views="1x3",
        labels=registry.kinetics400_labels,
    )

# https://github.com/google-research/scenic, projects/vivit/README.md.
_entry(
    "google/vivit-b-16x2-kinetics400",
    "vivit_base",
    "imagenet22k+kinetics",
    "MIT",
    "2103.15691",
    top1=79.9,
    views="4x3",
    labels=registry.kinetics400_labels,
)

for _name, _architecture in (
    ("videoprism-base-f16r288", "videoprism_base"),
    ("videoprism-large-f8r288", "videoprism_large"),
    ("videoprism-lvt-base-f16r288", "videoprism_lvt_base"),
    ("videoprism-lvt-large-f8r288", "videoprism_lvt_large"),
):
    _entry(f"google/{_name}", _architecture, "webli-videos", "Apache-2.0", "2402.13217")
