"""Networks: tensors in, logits out. Nothing here knows of files, configuration or Lightning."""

from .i3d import I3D
from .inception import Inception, endpoint_names

__all__ = ["I3D", "Inception", "endpoint_names"]
