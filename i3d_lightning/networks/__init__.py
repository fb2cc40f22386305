"""Networks: tensors in, logits out. Nothing here knows of files or Lightning."""

from . import (  # noqa: F401 - each registers itself
    c3d,
    convnet,
    convnet_lstm,
    fused_3d,
    i3d,
    transformers,
    two_stream,
)
from .registry import ARCHITECTURES, Architecture, build, paper

__all__ = ["ARCHITECTURES", "Architecture", "build", "paper"]
