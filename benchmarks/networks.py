"""I3D's inference and training step beside the public PyTorch I3D's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from public_i3d import public_i3d
from side_by_side import medians, print_ratios
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from i3d_lightning.networks.i3d import I3D
from i3d_lightning.recipe import Clips
from i3d_lightning.training.precision import resolve
from i3d_lightning.training.streams import channels_last, prepare
from i3d_lightning.video.transforms import normalise

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLASSES = 400
PEAKS = {"NVIDIA H200": 989e12, "NVIDIA H100": 989e12, "NVIDIA A100": 312e12}
"""Operations per second in bf16 without sparsity, from the vendor's data sheets."""

Forward = Callable[[Tensor], Tensor]
normalised: Forward = partial(normalise, clips=Clips())
prepared: Forward = partial(prepare, clips=Clips())


def inference() -> None:
    """One clip at 224 px, 32 frames on a CPU, 64 on a GPU."""
    frames = 64 if DEVICE.type == "cuda" else 32
    clip = torch.randint(0, 256, (1, 3, frames, 224, 224), dtype=torch.uint8, device=DEVICE)
    public = public_i3d(CLASSES, 224).to(DEVICE).eval()
    ours = channels_last(I3D(CLASSES)).to(DEVICE).eval()
    forwards: dict[str, Forward] = {
        "public I3D, float32": lambda x: public(normalised(x)),
        "public I3D, bf16 autocast": in_bf16(lambda x: public(normalised(x))),
        "ours, float32": lambda x: ours(prepared(x)),
        "ours, bf16": in_bf16(lambda x: ours(prepared(x))),
    }
    with torch.inference_mode():
        methods = {name: partial(forward, clip) for name, forward in forwards.items()}
        seconds = medians(methods)
    _print(f"Inference, one clip of {frames}x224x224", seconds)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ours(prepared(clip))
    print(f"\n{_achieved(counter.get_total_flops(), seconds['ours, bf16'])}")


def training() -> None:
    """A step of SGD: on a CPU with one clip of 16 frames at 112 and 64 px, on a GPU of 64 at 224 px."""
    for frames, side in ((64, 224),) if DEVICE.type == "cuda" else ((16, 112), (16, 64)):
        clip = torch.randint(0, 256, (1, 3, frames, side, side), dtype=torch.uint8, device=DEVICE)
        steps = {
            "public I3D, float32": Step(public_i3d(CLASSES, side), normalised, "float32", fused=False),
            "public I3D, bf16 autocast": Step(public_i3d(CLASSES, side), normalised, "bf16", fused=False),
            "ours, float32": Step(channels_last(I3D(CLASSES)), prepared, "float32"),
            "ours, as it trains by default": Step(channels_last(I3D(CLASSES)), prepared, "auto"),
        }
        if DEVICE.type == "cuda":
            steps["ours, compiled"] = Step(channels_last(I3D(CLASSES)), prepared, "auto", compile=True)
        seconds = medians({name: partial(step, clip) for name, step in steps.items()}, rounds=9)
        _print(f"Training step, one clip of {frames}x{side}x{side}", seconds)
        if DEVICE.type == "cuda":
            for name, step in steps.items():
                torch.cuda.reset_peak_memory_stats()
                step(clip)
                print(f"{name}: at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


class Step:
    """An optimiser step of a network on one clip.

    Args:
        network: Takes a clip in [-1, 1] and gives logits `b k s`.
        ready: Makes that clip of bytes.
        precision: As recipes have it.
        fused: Whether the optimiser is, which PyTorch's default is not.
        compile: Whether the network is compiled.
    """

    def __init__(
        self, network: nn.Module, ready: Forward, precision: str, fused: bool = True, compile: bool = False
    ) -> None:
        self.network, self.ready = network.to(DEVICE).train(), ready
        forward = torch.compile(network) if compile else network
        self.forward = in_bf16(forward) if resolve(precision) == "bf16" else forward
        self.optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, fused=fused)

    def __call__(self, clip: Tensor) -> None:
        logits = self.forward(self.ready(clip)).float().mean(2)
        F.cross_entropy(logits, torch.zeros(len(clip), dtype=torch.long, device=DEVICE)).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def in_bf16(forward: Callable[..., Any]) -> Forward:
    """The same under autocast."""

    def run(clip: Tensor) -> Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            output: Tensor = forward(clip)
        return output

    return run


def _print(title: str, seconds: dict[str, float]) -> None:
    print_ratios(title, seconds, "public I3D, float32")


def _achieved(operations: float, seconds: float) -> str:
    text = f"ours, bf16: {operations / seconds / 1e12:.2f} TFLOP/s"
    if DEVICE.type == "cuda":
        name = torch.cuda.get_device_name()
        peak = next((peak for known, peak in PEAKS.items() if name.startswith(known)), None)
        text += f", {operations / seconds / peak:.0%} of the peak" if peak else ""
    return text
