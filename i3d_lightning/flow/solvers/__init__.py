"""The iterations of TV-L1 between two warps, for each kind of device behind one signature.

Given the linearised brightness change (`problem`: its derivatives by the displacement in x and y, and
what it is at no displacement), a solver alternates a pointwise step towards constant brightness with one
step of Chambolle's projection towards little total variation, until the flow of a pair moves by less than
epsilon a pixel (root mean square), and filters it by the median in between. It works in place.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from i3d_lightning.errors import check_known
from i3d_lightning.recipe import Flow

Solver = Callable[[Tensor, Tensor, Tensor, Flow], None]
"""Takes `problem` (n 3 h w), `flow` (n 2 h w: x, y) and `dual` (n 4 h w: of x by x, y; of y by x, y)."""

NAMES = ("auto", "reference", "cpu", "cuda")


def choose(name: str, device: torch.device) -> Solver:
    """The solver of this name, or for `auto` the fastest that there is for the device.

    Raises:
        InputError: There is no such solver.
    """
    check_known("solver", name, NAMES)
    if name == "auto":
        has_triton = importlib.util.find_spec("triton") is not None
        name = {"cpu": "cpu", "cuda": "cuda" if has_triton else "reference"}.get(device.type, "reference")
    if name == "cpu":
        from i3d_lightning.flow.solvers.cpu import solve
    elif name == "cuda":
        from i3d_lightning.flow.solvers.cuda import solve
    else:
        from i3d_lightning.flow.solvers.reference import solve
    return solve
