"""Demo data sets: figures that act, rendered into the layouts of Kinetics, UCF-101 and HMDB-51."""

from .layout import DEMO_CLASSES, DEVELOPMENT_SEED, DemoSettings
from .render import DemoManifest, is_development, render_demo, use_demo

__all__ = [
    "DEMO_CLASSES",
    "DEVELOPMENT_SEED",
    "DemoManifest",
    "DemoSettings",
    "is_development",
    "render_demo",
    "use_demo",
]
