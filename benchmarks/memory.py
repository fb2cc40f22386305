"""How time and peak memory grow with frames, size and batch, and what a whole video of 250x224x224 takes.

Each measurement has a process of its own, whose largest size counts (on a GPU: what PyTorch allocated).
"""

from __future__ import annotations

import multiprocessing

import torch
from networks import DEVICE, Step, in_bf16, normalised, prepared
from public_i3d import public_i3d
from side_by_side import timed

from i3d_lightning.networks.i3d import I3D
from i3d_lightning.training.meters import peak
from i3d_lightning.training.streams import channels_last

Shape = tuple[int, int, int]  # clips, frames, px

WHOLE: Shape = (1, 250, 224)
GROWTH: tuple[Shape, ...] = ((1, 16, 112), (1, 32, 112), (1, 64, 112), (1, 16, 224), (4, 16, 112))


def main() -> None:
    print(
        "\n**A whole video of 250x224x224, tested**\n\n| method | seconds | peak memory, GB |\n|---|---|---|"
    )
    for method in ("public I3D, float32", "ours, float32", "ours, bf16"):
        seconds, gigabytes = _alone(method, "test", WHOLE)
        print(f"| {method} | {seconds:.1f} | {gigabytes:.1f} |", flush=True)
    print("\n**Training step, ours as by default**\n\n| clips | frames | px | seconds | peak memory, GB |")
    print("|---|---|---|---|---|")
    for shape in GROWTH:
        seconds, gigabytes = _alone("ours, bf16", "train", shape)
        print(f"| {' | '.join(map(str, shape))} | {seconds:.2f} | {gigabytes:.2f} |", flush=True)
    seconds, gigabytes = _alone("ours, bf16, checkpointed", "train", (1, 64, 112))
    print(f"\nWith `training.activation_checkpointing`, 1x64x112: {seconds:.2f} s, {gigabytes:.2f} GB")


def _alone(method: str, what: str, shape: Shape) -> tuple[float, float]:
    """Seconds (the second time) and gigabytes, measured in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (method, what, shape))


def _measure(method: str, what: str, shape: Shape) -> tuple[float, float]:
    clips, frames, side = shape
    clip = torch.randint(0, 256, (clips, 3, frames, side, side), dtype=torch.uint8, device=DEVICE)
    is_public, is_bf16 = method.startswith("public"), "bf16" in method
    network = public_i3d(400, side) if is_public else channels_last(I3D(400))
    if "checkpointed" in method:
        network.inception.activation_checkpointing = True
    ready = normalised if is_public else prepared
    if what == "train":
        step = Step(network, ready, "auto" if is_bf16 else "float32")
        times = [timed(lambda: step(clip)) for _ in range(3)]
    else:
        network = network.to(DEVICE).eval()
        forward = in_bf16(network) if is_bf16 else network
        with torch.inference_mode():
            times = [timed(lambda: forward(ready(clip))) for _ in range(2)]
    return times[-1], (peak(DEVICE) or float("nan")) / 1e9
