"""Where a plan runs: here, or wherever a launcher takes it."""

from . import local  # noqa: F401 - it registers itself
from .base import LAUNCHERS, Launcher, Overview, one_by_one

__all__ = ["LAUNCHERS", "Launcher", "Overview", "one_by_one"]
