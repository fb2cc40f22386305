"""Networks: tensors in, logits out. Nothing here knows of files or Lightning."""

# Each registers itself, the paper's first.
from . import c3d, convnet, convnet_lstm, fused_3d, i3d, two_stream  # noqa: F401 isort: skip
from . import torchvision, pytorchvideo, transformers  # noqa: F401 isort: skip
from .registry import ARCHITECTURES, Architecture, build, paper

__all__ = ["ARCHITECTURES", "Architecture", "build", "paper"]
