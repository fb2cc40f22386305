"""Loading training clips beside pytorchvideo's LabeledVideoDataset, through the same DataLoader.

A clip is 64 frames at 25 fps, short side 256 px, a random square of 224 px; both decode with FFmpeg (PyAV).
"""

from __future__ import annotations

from itertools import islice

import torch
import torch.nn.functional as F
from clips import videos
from pytorchvideo.data import LabeledVideoDataset
from pytorchvideo.data.clip_sampling import make_clip_sampler
from side_by_side import medians, print_ratios
from torch.utils.data import DataLoader

from i3d_lightning.datasets.clips import RGBFrames, TrainingClips
from i3d_lightning.datasets.split import Video
from i3d_lightning.recipe import Clips
from i3d_lightning.video.cores import available_cores

CLIPS = 16
SETTINGS = Clips()


def main() -> None:
    paths = videos(CLIPS)
    ours = TrainingClips(
        [Video(str(path), path, 0, str(path)) for path in paths],
        [RGBFrames(SETTINGS.fps, SETTINGS.short_side)],
        SETTINGS,
        seed=0,
    )
    seconds = SETTINGS.train_frames / SETTINGS.fps
    theirs = LabeledVideoDataset(
        [(str(path), {"label": 0}) for path in paths],
        make_clip_sampler("random", seconds),
        transform=_as_we_do,
        decode_audio=False,
        decoder="pyav",
    )
    workers = max(1, available_cores() - 1)
    methods = {
        "pytorchvideo": lambda: _read(DataLoader(theirs, batch_size=None, num_workers=workers)),
        "ours": lambda: _read(
            DataLoader(ours, batch_size=None, sampler=range(CLIPS), num_workers=workers)  # type: ignore[arg-type]
        ),
    }
    title = f"Loading {CLIPS} clips of 64x224x224, {workers} worker(s), torch threads 1"
    print_ratios(title, medians(methods, rounds=3), "pytorchvideo")


def _read(loader: DataLoader) -> None:
    count = sum(1 for _ in islice(loader, CLIPS))
    assert count == CLIPS


def _as_we_do(item: dict) -> torch.Tensor:
    """64 frames, resized and cropped as pytorchvideo's transforms do it, as bytes."""
    clip = item["video"]  # c t h w, float
    chosen = torch.linspace(0, clip.shape[1] - 1, SETTINGS.train_frames).long()
    clip = clip[:, chosen]
    height, width = clip.shape[2:]
    scale = SETTINGS.short_side / min(height, width)
    size = round(height * scale), round(width * scale)
    clip = F.interpolate(clip, size=size, mode="bilinear", align_corners=False)
    top, left = (int(torch.randint(side - SETTINGS.crop + 1, ())) for side in size)
    return clip[:, :, top : top + SETTINGS.crop, left : left + SETTINGS.crop].to(torch.uint8)
