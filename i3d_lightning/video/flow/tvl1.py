"""TV-L1 optical flow (Zach, Pock and Bischof, 2007) by OpenCV, the closest public match to the authors'."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from i3d_lightning.plan import TVL1

# Videos share the cores, not the parts of a field; and a pool of OpenCV's that was started before a
# fork hangs in the child, which data-loading workers are.
cv2.setNumThreads(0)


def compute_flow(grey: UInt8[Tensor, "frames h w"], settings: TVL1) -> Float32[Tensor, "frames-1 2 h w"]:
    """Displacement from each frame to the next, x (rightwards) and y (downwards) in pixels.

    Args:
        grey: Greyscale frames, already of the size that the flow is wanted in.
        settings: Settings of the algorithm; `bound` plays no part here.
    """
    algorithm = cv2.optflow.DualTVL1OpticalFlow_create()  # type: ignore[attr-defined]
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
    frames = grey.numpy()
    flow = np.empty((len(frames) - 1, *frames.shape[1:], 2), np.float32)
    for t, field in enumerate(flow):
        field[:] = algorithm.calc(frames[t], frames[t + 1], None)
    return torch.from_numpy(flow).permute(0, 3, 1, 2)
