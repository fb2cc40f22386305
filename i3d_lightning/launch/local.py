"""Runs a plan here, in this process."""

from __future__ import annotations

from i3d_lightning.launch.base import Launcher, register
from i3d_lightning.study.run import run

register(Launcher("local", run))
