"""OpenCV's TV-L1 behind our signature: the baseline of accuracy and speed.

It takes OpenCV's contrib modules, which the package does not. As they bring a `cv2` of their own, they go
into a folder of their own:

    python -m pip install --no-deps --target contrib opencv-contrib-python-headless
    PYTHONPATH=contrib python benchmarks flow
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from i3d_lightning.recipe import Flow


def opencv_flow(frames: UInt8[Tensor, "b t h w"], settings: Flow) -> Float32[Tensor, "b t-1 2 h w"]:
    """As `i3d_lightning.flow.compute_flow`, on as many threads as OpenCV is set to."""
    if not hasattr(cv2, "optflow"):
        raise SystemExit(f"The OpenCV at {cv2.__file__} has no contrib modules: see {__file__}.")
    algorithm = cv2.optflow.DualTVL1OpticalFlow_create()
    algorithm.setTau(settings.tau)
    algorithm.setLambda(settings.lambda_)
    algorithm.setTheta(settings.theta)
    algorithm.setScalesNumber(settings.scales)
    algorithm.setScaleStep(settings.scale_step)
    algorithm.setWarpingsNumber(settings.warps)
    algorithm.setEpsilon(settings.epsilon)
    algorithm.setInnerIterations(settings.inner_iterations)
    algorithm.setOuterIterations(settings.outer_iterations)
    algorithm.setMedianFiltering(settings.median)
    fields = [
        algorithm.calc(one.numpy(), two.numpy(), None) for video in frames for one, two in pairwise(video)
    ]
    flow = torch.from_numpy(np.stack(fields)).permute(0, 3, 1, 2)
    return flow.unflatten(0, (len(frames), -1))
