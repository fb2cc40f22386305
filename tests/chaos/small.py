"""For `--import`: a network of a few thousand numbers, data sets to pretrain and test it on, few demo clips.

Hundreds of whole runs then take minutes.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from i3d_lightning import demo
from i3d_lightning.datasets.folder import read_folder
from i3d_lightning.datasets.registry import Dataset
from i3d_lightning.datasets.registry import register as register_dataset
from i3d_lightning.networks.network import CHANNELS, VideoNetwork
from i3d_lightning.networks.registry import Architecture, register
from i3d_lightning.recipe import Clips, Training


class Small(VideoNetwork):
    """One convolution, batch normalisation, the mean over places."""

    feature_size = 16

    def __init__(self, classes: int, stream: str, dropout: float) -> None:
        super().__init__(dropout)
        self.body = nn.Sequential(
            nn.Conv3d(CHANNELS[stream], 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm3d(16), nn.ReLU()
        )
        self.reset_classifier(classes)

    def forward_features(self, *clips: Tensor) -> Tensor:
        (clip,) = clips
        return self.body(clip).mean((3, 4))


def _build(classes: int, stream: str, clips: Clips, training: Training) -> Small:
    return Small(classes, stream, training.dropout)


CLIPS = Clips(short_side=32, crop=32, train_frames=4, test_frames=8, flip=False)

register(Architecture("small", "Small", _build, CLIPS, smallest=(2, 8), streams=("rgb", "flow")))
register_dataset(Dataset("small-kinetics", read_folder, teaches="kinetics", family="small"))
register_dataset(Dataset("small-target", read_folder, family="small"))

demo.DemoSettings = partial(  # type: ignore[assignment, misc]
    demo.DemoSettings,
    pretraining_clips=1,
    validation_clips=1,
    images=1,
    validation_images=1,
    groups=5,
    training_groups=2,
    clips_per_group=1,
)
