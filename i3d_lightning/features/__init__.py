"""Features of any videos over time, in the files that other projects read."""

from i3d_lightning.features.extract import extract_features
from i3d_lightning.features.job import Extracted
from i3d_lightning.features.layouts import LAYOUTS, Layout

__all__ = ["LAYOUTS", "Extracted", "Layout", "extract_features"]
