"""Small videos and weights, and features computed one window at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from videos import write_video

from i3d_lightning.flow import estimate_flow
from i3d_lightning.networks.i3d import I3D
from i3d_lightning.recipe import Clips, Flow
from i3d_lightning.video.decoding import read_clip
from i3d_lightning.video.transforms import centre_place, crop, normalise, quantise_flow
from i3d_lightning.weights import create_model, load_weights, save_weights

CLIPS = Clips(short_side=32, crop=32, train_frames=9, test_frames=12)
SETTINGS = Flow(scales=1, warps=1, inner_iterations=3, outer_iterations=1, bound=4.0)


def video_of(path: Path, frames: int, seed: int = 1) -> Path:
    """A video of so many frames, 40x32 px at 25 fps."""
    write_video(path, 0, seed, frames)
    return path


def save(path: Path, stream: str, clips: Clips = CLIPS, seed: int = 0) -> Path:
    """Weights of an untrained I3D, whose features differ from frame to frame."""
    torch.manual_seed(seed)
    network = I3D(3, channels=3 if stream == "rgb" else 2)
    said = {"architecture": "i3d", "stream": stream, "pretraining": "kinetics", "labels": None}
    save_weights(path, network, **said, clips=clips, flow=SETTINGS if stream == "flow" else None)
    return path


def _windows(seen: torch.Tensor, stream: str, weights: str, clip: int, step: int, count: int) -> np.ndarray:
    network = create_model("i3d", stream=stream, pretrained=weights).eval()
    clips = load_weights(weights).clips
    with torch.inference_mode():
        found = [
            network.forward_features(normalise(seen[None, :, i * step : i * step + clip], clips)).mean(2)
            for i in range(count)
        ]
    return torch.cat(found).numpy()


def naive_rgb(path: Path, weights: str, clip: int, step: int, count: int) -> np.ndarray:
    """RGB features of each window by itself."""
    frames = read_clip(path, 0, (count - 1) * step + clip, fps=25.0, short_side=32)
    return _windows(crop(frames, *centre_place(frames.shape, 32), 32), "rgb", weights, clip, step, count)


def naive_flow(path: Path, weights: str, clip: int, step: int, count: int) -> np.ndarray:
    """Flow features of each window by itself."""
    frames = read_clip(path, 0, (count - 1) * step + clip + 1, fps=25.0, short_side=32)
    (flow,) = estimate_flow(frames[None], SETTINGS)
    seen = crop(quantise_flow(flow, SETTINGS.bound), *centre_place(frames.shape, 32), 32)
    return _windows(seen, "flow", weights, clip, step, count)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance of two features, relative to their length."""
    return float((np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)).max())
