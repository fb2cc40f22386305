"""The families of networks in `transformers`, in the library's own words, for tests beside the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers as theirs
from torch import Tensor

from i3d_lightning.networks import ARCHITECTURES, Architecture
from i3d_lightning.networks import transformers as ours
from i3d_lightning.recipe import Clips
from i3d_lightning.weights import transformers as files

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
    "videomae_base": ("videomae", {}, 0),
    "videomae_large": ("videomae", LARGE, 0),
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
others count them (https://github.com/embeddings-benchmark/mteb), without classifiers but for those of probes;
0 where nobody does, or counts what the library does not have: of VideoMAE a bias of keys in each layer.
"""


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
    short_side = {"vjepa2": pixels * 256 // 224, "videoprism": pixels}.get(
        name.split("_")[0], pixels + 7
    )  # whose middle lies between two
    clips = replace(like.clips, crop=pixels, short_side=short_side, train_frames=frames, test_frames=frames)
    known = replace(like, name=f"tiny-{name}", build=family.make(**family.tiny), clips=clips)
    ARCHITECTURES.register(known)
    files._converter(known.name, family.form, SMALL["hidden_size"])
    return known, family


def saved_model(known: Architecture, family: Family, folder: Path, **more: Any) -> Any:
    torch.manual_seed(0)
    config = configured(family, known.clips, {**family.tiny, **more})
    model = getattr(theirs, family.model)(config).eval()
    randomise(model)
    model.save_pretrained(folder)
    return model
