"""Demo data sets: figures that act, rendered into the layouts of Kinetics, UCF-101 and HMDB-51."""

from .layout import DEMO_CLASSES, DemoSettings
from .render import DemoManifest, render_demo

__all__ = ["DEMO_CLASSES", "DemoManifest", "DemoSettings", "render_demo"]
