"""Inception-v1 as an image classifier: what ImageNet pretraining trains, and on videos the control."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from i3d_lightning.recipe import Clips, Training

from .inception import FEATURE_SIZE, Inception
from .network import CHANNELS, VideoNetwork, each_frame
from .registry import Architecture, register


class ConvNet(VideoNetwork):
    """2-D Inception-v1, global average pool, linear classifier.

    An image is a clip of one frame. Of a video it sees each frame by itself; features are averaged over them.

    Args:
        classes: Number of classes.
        channels: Channels of an image.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
    """

    feature_size = FEATURE_SIZE

    def __init__(
        self, classes: int, channels: int = 3, dropout: float = 0.4, batchnorm_momentum: float = 0.1
    ) -> None:
        super().__init__(dropout)
        self.inception = Inception(2, channels, batchnorm_momentum)
        self.reset_classifier(classes)

    def forward_features(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 1024 t"]:
        """Features of each frame by itself."""
        return self.forward_grid(*clips).mean((3, 4))

    def forward_grid(self, *clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 1024 t i j"]:
        """The last grid of each frame."""
        (clip,) = clips
        return each_frame(self.inception, clip).float()


def _build(classes: int, stream: str, clips: Clips, training: Training) -> ConvNet:
    return ConvNet(classes, CHANNELS[stream], training.dropout, training.batchnorm_momentum)


register(
    Architecture(
        "convnet", "ConvNet", _build, Clips(train_frames=1, test_frames=250), smallest=(1, 32), images=True
    )
)
