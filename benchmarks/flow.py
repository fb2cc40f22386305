"""TV-L1 against OpenCV's, side by side: speed as a ratio, and how far the fields are apart.

Frames have a short side of 256 px. Each method is timed in turn, several times over; medians are printed.
"""

from __future__ import annotations

import cv2
import torch
from clips import videos
from opencv_flow import opencv_flow
from side_by_side import Method, medians
from torch import Tensor

from i3d_lightning.flow import compute_flow, grey, packed
from i3d_lightning.recipe import FLOW_PRESETS, Flow
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.transforms import quantise_flow

VIDEOS = 4
PAIRS = 2


def main() -> None:
    cv2.setNumThreads(torch.get_num_threads())
    frames = torch.stack(
        [grey(read_clip(v, 10, PAIRS + 1, fps=25.0, short_side=256)) for v in videos(VIDEOS)]
    )
    height, width = frames.shape[2:]
    print(f"\n**TV-L1, {len(frames) * PAIRS} pairs of {width}x{height} px of {len(frames)} videos**\n")
    fast = FLOW_PRESETS["fast"]
    methods: dict[str, Method] = {
        "OpenCV, accurate": lambda: opencv_flow(frames, Flow()),
        "ours, accurate": lambda: compute_flow(frames),
        "ours, plain PyTorch, accurate": lambda: compute_flow(frames, Flow(), "reference"),
        "OpenCV, fast": lambda: opencv_flow(frames, fast),
        "ours, fast": lambda: compute_flow(frames, fast),
    }
    if torch.cuda.is_available():
        on_gpu = frames.cuda()
        methods["ours, GPU, accurate"] = lambda: compute_flow(on_gpu).cpu()
        methods["ours, GPU, plain PyTorch, accurate"] = lambda: compute_flow(
            on_gpu, Flow(), "reference"
        ).cpu()
        methods["ours, GPU, fast"] = lambda: compute_flow(on_gpu, fast).cpu()
    fields = {name: method() for name, method in methods.items()}
    seconds = medians(methods, rounds=2, warm_up=False)
    print("| method | pairs/s | x OpenCV | median difference, px | mean difference, px |")
    print("|---|---|---|---|---|")
    for name, took in seconds.items():
        difference = (fields[name] - fields["OpenCV, accurate"]).norm(dim=2)
        print(
            f"| {name} | {len(frames) * PAIRS / took:.2f} | {seconds['OpenCV, accurate'] / took:.2f} | "
            f"{difference.median():.3f} | {difference.mean():.3f} |"
        )
    _sizes(fields["ours, accurate"])


def _sizes(flow: Tensor) -> None:
    """What a field takes in the store, beside what others keep."""
    videos = [quantise_flow(fields, 20.0).numpy() for fields in flow]
    count = sum(video.shape[1] for video in videos)
    sizes = {
        "raw float32": flow.numel() * 4,
        "raw 8 bits": sum(video.size for video in videos),
        "two JPEGs, quality 95 (lossy)": sum(
            len(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
            for video in videos
            for image in video.reshape(-1, *video.shape[2:])
        ),
        "our store (lossless)": sum(len(packed.pack([video])) for video in videos),
    }
    print("\n| kept as | bytes a field |\n|---|---|")
    for name, size in sizes.items():
        print(f"| {name} | {size / count:,.0f} |")
