"""Vision transformers of Hugging Face's `transformers`, an extra: pip install 'i3d-lightning[transformers]'.

Sizes are those of the library's converters of the published weights (its `models/*/convert_*`), and frames
are prepared as its processors do. Each network sees clips of one length and size, which it is built for.

Features are what goes into the published classifier: VideoMAE's mean over all tokens, normalised; the class
token of TimeSformer and ViViT; what V-JEPA 2's attentive probe makes of its tokens (`vjepa2_*_probe`); and
the clip's embedding of VideoPrism's video-text encoders (`videoprism_lvt_*`). V-JEPA 2's and VideoPrism's
encoders are published without a classifier: their features are the mean over all tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils.checkpoint import checkpoint

from i3d_lightning.networks.adapter import BODY, AdaptedNetwork, library
from i3d_lightning.networks.network import CLASSIFIER
from i3d_lightning.networks.registry import Architecture, Build, register
from i3d_lightning.recipe import Changes, Clips, Training

LIBRARY = "transformers"
LEAST = "5.23"
"""Earlier versions load VideoMAE with zeroed query and value biases."""

_UNDECAYED = {
    "cls_token",
    "position_embeddings",
    "time_embeddings",
    "query_tokens",
    "pooling_attention_query",
}
"""What tokens and embeddings of positions are called there."""

_AFTER = {
    "temporal_embeddings": "spatial_layers",
    "layernorm1": "spatial_layers",
    "layernorm2": "temporal_layers",
    "encoder.layernorm": "encoder.layer",
}
"""What stands between two stacks of layers, and the one that it follows."""


class Transformer(AdaptedNetwork):
    """A transformer of the library, an `AdaptedNetwork`.

    Args:
        body: The library's network, which takes `b t c h w`.
        features: Takes them out of what it returns.
        frames: Length of a window.
        classes: Number of classes.
        dropout: Probability to drop a feature before the classifier.
        last: Dotted name of its last layer, if it has one.
        width: Number of features, if not.

    Attributes:
        activation_checkpointing: In training, compute a layer's activations again for the gradients.
    """

    def __init__(
        self,
        body: nn.Module,
        features: Callable[[Any], Tensor],
        frames: int,
        classes: int,
        dropout: float,
        last: str = "",
        width: int = 0,
    ) -> None:
        super().__init__(body, last, frames, classes, dropout, width=width)
        self.features = features
        self.depths = self._depths()
        self.undecayed = tuple(name for name, _ in self.named_parameters() if _UNDECAYED & {*name.split(".")})

    def see(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Features of clips of one window's length."""
        return self.features(self.body(clip.transpose(1, 2)))

    def _depths(self) -> tuple[tuple[str, ...], ...]:
        """List parameters by depth: the embeddings', each layer's, and last of what follows them all.

        This is VideoMAE's rule (https://github.com/MCG-NJU/VideoMAE, optim_factory.py); what stands between
        two stacks has the depth of the layer that follows.
        """
        stacks = [
            (f"{BODY}{n}.", len(m)) for n, m in self.body.named_modules() if isinstance(m, nn.ModuleList)
        ]
        at = {name: _depth(name, stacks) for name, _ in self.named_parameters()}
        return tuple(tuple(n for n in at if at[n] == depth) for depth in range(max(at.values()) + 1))

    @property
    def activation_checkpointing(self) -> bool:
        return any(layer.gradient_checkpointing for layer in self._layers())

    @activation_checkpointing.setter
    def activation_checkpointing(self, on: bool) -> None:
        for layer in self._layers():
            layer.gradient_checkpointing = on
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)

    def _layers(self) -> list[Any]:
        return [module for module in self.body.modules() if hasattr(module, "gradient_checkpointing")]


def _depth(name: str, stacks: list[tuple[str, int]]) -> int:
    before = 0
    after = next((stack for part, stack in _AFTER.items() if f".{part}." in name), None)
    for prefix, layers in stacks:
        if name.startswith(prefix):
            return before + 1 + int(name.removeprefix(prefix).split(".")[0])
        before += layers
        if after is not None and prefix.endswith(f".{after}."):
            return before + 1
    return 0 if "embeddings." in name and not name.startswith(CLASSIFIER) else before + 1


def _logits(output: Any) -> Tensor:
    """What the library's classifier takes, once that is taken out."""
    return output.logits


def _mean_token(output: Any) -> Tensor:
    return output.last_hidden_state.mean(dim=1)


def _embedding(output: Any) -> Tensor:
    return output.pooler_output.flatten(1)


def _made(kind: Any, config: Any) -> Any:
    """Make a network of the library, initialised as there.

    Where only shapes are wanted, it is made aside and then taken over: TimeSformer reads numbers while it is
    made.
    """
    if not isinstance(torch.empty(0), FakeTensor):
        return kind(config)
    with unset_fake_temporarily(), torch.device("meta"):
        body = kind(config)
    for module in body.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))
        others = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
        others |= dict(module.named_buffers(recurse=False))  # of which VideoMAE's positions are none
        for name, value in others.items():
            setattr(module, name, torch.empty(value.shape, dtype=value.dtype))
    return body


def _library() -> Any:
    library(LIBRARY, extra="transformers", least=LEAST)
    import transformers

    return transformers


def _classified(kind: str, config: str, **size: Any) -> Build:
    """Make a network that the library has with a classifier, which takes the features."""

    def build(classes: int, stream: str, clips: Clips, training: Training) -> Transformer:
        found = _library()
        made = getattr(found, config)(image_size=clips.crop, num_frames=clips.train_frames, **size)
        body = _made(getattr(found, kind), made)
        return Transformer(body, _logits, clips.train_frames, classes, training.dropout, "classifier")

    return build


def _videomae(**size: Any) -> Build:
    return _classified("VideoMAEForVideoClassification", "VideoMAEConfig", **size)


def _timesformer(**size: Any) -> Build:
    return _classified("TimesformerForVideoClassification", "TimesformerConfig", **size)


def _vivit(**size: Any) -> Build:
    return _classified("VivitForVideoClassification", "VivitConfig", **size)


def _vjepa2(probe: bool, **size: Any) -> Build:
    def build(classes: int, stream: str, clips: Clips, training: Training) -> Transformer:
        found = _library()
        config = found.VJEPA2Config(crop_size=clips.crop, frames_per_clip=clips.train_frames, **size)
        if probe:
            body = _made(found.VJEPA2ForVideoClassification, config)
            body.vjepa2.predictor = None  # of what is masked: used in its pretraining alone
            return Transformer(body, _logits, clips.train_frames, classes, training.dropout, "classifier")
        body = _made(found.VJEPA2Model, config).encoder
        width = config.hidden_size
        return Transformer(body, _mean_token, clips.train_frames, classes, training.dropout, width=width)

    return build


def _videoprism(embedding: bool, **size: Any) -> Build:
    def build(classes: int, stream: str, clips: Clips, training: Training) -> Transformer:
        found = _library()
        config = found.VideoPrismVisionConfig(image_size=clips.crop, num_frames=clips.train_frames, **size)
        body = _made(found.VideoPrismVideoModel if embedding else found.VideoPrismVisionModel, config)
        features = _embedding if embedding else _mean_token
        width = config.hidden_size
        return Transformer(body, features, clips.train_frames, classes, training.dropout, width=width)

    return build


BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}

VITL = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
VITH = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16}
VITG = {"hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11}

PRISM_BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
PRISM_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_spatial_layers": 24,
}

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FINE_TUNING: Changes = {
    "optimizer": "adamw",
    "learning_rate": 1.875e-4,
    "weight_decay": 0.05,
    "norm_decay": False,
    "layer_decay": 0.7,
    "warmup_steps": 250,
    "schedule": "cosine",
}
"""VideoMAE's for UCF-101 (https://github.com/MCG-NJU/VideoMAE, scripts/ucf101): 5e-4 for 256 clips a step,
in proportion to them, here for 96; 5 of 100 epochs warm up. Their mixup, cutmix, label smoothing, random
erasing and drop path are left out. Other authors give none for data sets so small. Theirs is of ViT-B alone:
of deeper networks rates decay so that the first layer's is in the same proportion to the last one's."""
LAYERS = 12
"""Layers of ViT-B."""


def _fine_tuning(layers: int) -> Changes:
    decay = FINE_TUNING["layer_decay"] ** ((LAYERS + 1) / (layers + 1))
    return {**FINE_TUNING, "layer_decay": round(decay, 3)}


def _register(
    name: str,
    title: str,
    build: Build,
    clips: Clips,
    device_batch: int,
    tubelet: int = 2,
    layers: int = LAYERS,
) -> None:
    patch = 18 if name.startswith("videoprism") else 16
    register(
        Architecture(
            name,
            title,
            build,
            clips,
            smallest=(tubelet, patch),
            device_batch=device_batch,
            one_size=True,
            multiple=(tubelet, patch),
            windows=True,
            training=_fine_tuning(layers),
            library=LIBRARY,
        )
    )


# Every 4th frame of 30 a second; its short side is the square's (its FINETUNE.md: --short_side_size 224).
VIDEOMAE = Clips(
    fps=7.5,
    short_side=224,
    crop=224,
    train_frames=16,
    test_frames=80,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    interpolation="antialias",
)
# ViT-S is left out: its authors give it 6 heads, the library's converter 16, and weights do not tell.
_register("videomae_base", "VideoMAE ViT-B", _videomae(**BASE), VIDEOMAE, 6)
_register("videomae_large", "VideoMAE ViT-L", _videomae(**LARGE), VIDEOMAE, 2, layers=24)
_register("videomae_huge", "VideoMAE ViT-H", _videomae(**HUGE), VIDEOMAE, 1, layers=32)


def _vjepa2_clips(crop: int = 256, frames: int = 64, fps: float = 4.0) -> Clips:
    """Pretrained at 4 frames a second; the short side is 256/224 of the square, as in its processor."""
    return Clips(
        fps=fps,
        short_side=int(crop * 256 / 224),
        crop=crop,
        train_frames=frames,
        test_frames=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        interpolation="antialias",
    )


# Probes of Something-Something v2, whose videos have 12 frames a second: every 4th, and of ViT-g every 2nd
# (https://github.com/facebookresearch/vjepa2, configs/inference/*/ssv2.yaml).
_register("vjepa2_vitl", "V-JEPA 2 ViT-L", _vjepa2(False, **VITL), _vjepa2_clips(), 2, layers=24)
_register("vjepa2_vith", "V-JEPA 2 ViT-H", _vjepa2(False, **VITH), _vjepa2_clips(), 1, layers=32)
_register("vjepa2_vitg", "V-JEPA 2 ViT-g", _vjepa2(False, **VITG), _vjepa2_clips(), 1, layers=40)
_register(
    "vjepa2_vitg_384", "V-JEPA 2 ViT-g, 384 px", _vjepa2(False, **VITG), _vjepa2_clips(384), 1, layers=40
)
_register(
    "vjepa2_vitl_probe",
    "V-JEPA 2 ViT-L, attentive probe",
    _vjepa2(True, **VITL),
    _vjepa2_clips(256, 16, 3.0),
    2,
    layers=24,
)
_register(
    "vjepa2_vitg_384_probe",
    "V-JEPA 2 ViT-g, 384 px, attentive probe",
    _vjepa2(True, **VITG),
    _vjepa2_clips(384, 64, 6.0),
    1,
    layers=40,
)


def _timesformer_clips(frames: int, step: int, crop: int) -> Clips:
    """So many frames evenly out of `frames * step` at 30 a second, the first and the last among them.

    See https://github.com/facebookresearch/TimeSformer, timesformer/datasets/decoder.py; 0.45 and 0.225 are
    of its config/defaults.py, and at test the short side is the square's.
    """
    return Clips(
        fps=30 * (frames - 1) / (frames * step - 1),
        short_side=crop,
        crop=crop,
        train_frames=frames,
        test_frames=frames,
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        interpolation="antialias",
    )


_register("timesformer_base", "TimeSformer", _timesformer(), _timesformer_clips(8, 32, 224), 6, tubelet=1)
_register("timesformer_hr", "TimeSformer-HR", _timesformer(), _timesformer_clips(16, 16, 448), 2, tubelet=1)
_register("timesformer_large", "TimeSformer-L", _timesformer(), _timesformer_clips(96, 4, 224), 2, tubelet=1)

# Every 2nd frame of 25 a second, in [-1, 1] (https://github.com/google-research/scenic, projects/vivit,
# vivit_base_k400.py: zero_centering). The library's processor would normalise that once more, unless told not
# to; its converter of these weights refuses to (convert_vivit_flax_to_pytorch.py).
VIVIT = Clips(fps=12.5, short_side=256, crop=224, train_frames=32, test_frames=128, interpolation="antialias")
_register("vivit_base", "ViViT-B/16x2", _vivit(), VIVIT, 2)


def _videoprism_clips(frames: int) -> Clips:
    """Squeezed to a square, in [0, 1].

    Its authors take frames evenly out of a whole video: this is the rate for one of ten seconds.
    """
    return Clips(
        fps=frames / 10,
        short_side=288,
        crop=288,
        train_frames=frames,
        test_frames=frames,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        aspect=1.0,
        interpolation="antialias-bicubic",
    )


for _size, _title, _sizes, _frames, _batch, _layers in (
    ("base", "B", PRISM_BASE, 16, 6, 12 + 4),
    ("large", "L", PRISM_LARGE, 8, 2, 24 + 4),
):
    _register(
        f"videoprism_{_size}",
        f"VideoPrism-{_title}",
        _videoprism(False, **_sizes),
        _videoprism_clips(_frames),
        _batch,
        tubelet=1,
        layers=_layers,
    )
    _register(
        f"videoprism_lvt_{_size}",
        f"VideoPrism-LvT-{_title}",
        _videoprism(True, **_sizes),
        _videoprism_clips(_frames),
        _batch,
        tubelet=1,
        layers=_layers,
    )
