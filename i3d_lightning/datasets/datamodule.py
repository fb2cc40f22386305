"""The LightningDataModule over any data set: the same clips whatever the number of processes or devices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from i3d_lightning.datasets.clips import (
    CentreClips,
    Frames,
    RGBFrames,
    TrainingClips,
    WholeVideos,
    collate,
    collate_whole,
)
from i3d_lightning.datasets.folds import hold_out
from i3d_lightning.datasets.videos import DatasetSplit, Video
from i3d_lightning.plan import InputError, Recipe, Stream, is_imagenet
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.flow import FlowFromFrames, FlowImages, FlowStore, compute_all
from i3d_lightning.video.images import ImageFrames

log = logging.getLogger(__name__)


class VideoDataModule(L.LightningDataModule):
    """Training by steps, validation on held-out groups, test on whole videos.

    An epoch is `validate_every` optimiser steps. Training draws clips from an endless sequence, of
    which a step takes the next `batch_size`; where it stands follows from the trainer's step alone,
    so a run resumed at the end of an epoch equals an undisturbed one. Processes share each step's
    draws, as do the micro-batches whose gradients are accumulated: the trainer is to use
    `accumulate_grad_batches=accumulate(world_size)`.

    Training and validation batches are `{"clips": (uint8 b c t h w, ...), "label": b, "index": b}`,
    with one clip for the stream, or RGB and flow for `joint`, the index pointing into `train_videos`
    or `validation_videos`. A test batch has `groups` of whole videos of one size, each with its `clips`
    and `index`, and names those that cannot be read under `unreadable` (index -> why).

    Args:
        split: The videos.
        stream: What the network sees.
        recipe: How clips are made and how training is batched.
        seed: Seed of the held-out groups, the order and the augmentation.
        flow_root: Where flow is stored; it must be computed before.
    """

    def __init__(
        self,
        split: DatasetSplit,
        stream: Stream,
        recipe: Recipe,
        seed: int,
        flow_root: Path | None = None,
    ) -> None:
        super().__init__()
        self.split, self.clips, self.training, self.seed = split, recipe.clips, recipe.training, seed
        self.flow_settings = recipe.flow
        self.sources = _sources(split.name, stream, recipe, flow_root)
        self.train_videos, self.validation_videos = hold_out(
            split.train, recipe.training.validation_fraction, seed
        )
        self.whole_videos: Sequence[Video] = split.test
        self.unreadable: dict[str, str] = {}

    def micro_batch(self, world_size: int = 1) -> int:
        """Clips that a device holds at once: the largest share of its part of a step that fits.

        Raises:
            InputError: A step's clips cannot be divided among the devices.
        """
        share, rest = divmod(self.training.batch_size, world_size)
        if rest:
            raise InputError(
                f"training.batch_size {self.training.batch_size} cannot be divided among {world_size} "
                f"devices: make it a multiple."
            )
        most = min(share, self.training.device_batch)
        return max(clips for clips in range(1, most + 1) if share % clips == 0)

    def accumulate(self, world_size: int = 1) -> int:
        """Micro-batches whose gradients make one optimiser step."""
        return self.training.batch_size // world_size // self.micro_batch(world_size)

    def train_dataloader(self) -> DataLoader[Any]:
        rank, world_size = _place()
        clips = TrainingClips(self.train_videos, self.sources, self.clips, self.seed)
        draws = Draws(
            lambda: self.trainer.global_step if self.trainer else 0,
            self.training.validate_every,
            self.training.batch_size,
            rank,
            world_size,
        )
        return self._loader(clips, self.micro_batch(world_size), draws, collate)

    def val_dataloader(self) -> DataLoader[Any]:
        clips = CentreClips(self.validation_videos, self.sources, self.clips)
        return self._loader(clips, self.micro_batch(_place()[1]), _shared(clips), collate)

    def whole(self, videos: Sequence[Video]) -> VideoDataModule:
        """Itself, for a test or prediction of these videos, each whole."""
        self.whole_videos = videos
        return self

    def test_dataloader(self) -> DataLoader[Any]:
        """Indices point into the videos that `whole` was given, or else the split's test videos.

        A batch has as many videos as the frames that a device holds in training make up, at least one.
        """
        clips = WholeVideos(self.whole_videos, self.sources, self.clips)
        frames = self.training.device_batch * self.clips.train_frames
        return self._loader(clips, max(1, frames // self.clips.test_frames), _shared(clips), collate_whole)

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.test_dataloader()

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Warns once of every video that could not be read in training.

        Raises:
            InputError: Video after video could not be read.
        """
        if "groups" in batch:
            return batch  # of a test
        unreadable = batch.pop("unreadable")
        for id_, why in unreadable.items():
            if id_ not in self.unreadable:
                log.warning("A video is left out of training: %s", why)
                self.unreadable[id_] = why
        if batch["clips"] is None:
            raise InputError(f"Too many videos in a row could not be read, the last one because: {why}")
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Computes the flow that is still to come, on the device that the batch is now on."""
        for part in batch.get("groups", [batch]):
            part["clips"] = tuple(
                compute_all(clips, self.flow_settings) if isinstance(clips, list) else clips
                for clips in part["clips"]
            )
        return batch

    def _loader(
        self, clips: Dataset[Any], batch_size: int, sampler: Any, collate: Callable[[Sequence[Any]], Any]
    ) -> DataLoader[Any]:
        workers = self.training.workers if self.training.workers >= 0 else _sensible_workers()
        return DataLoader(
            clips,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )


def _sources(dataset: str, stream: Stream, recipe: Recipe, flow_root: Path | None) -> list[Frames]:
    """What the network sees: images, RGB frames, flow fields, or the last two."""
    clips = recipe.clips
    if is_imagenet(dataset):
        return [ImageFrames(clips.short_side)]
    sources: list[Frames] = []
    if stream != "flow":
        sources.append(RGBFrames(clips.fps, clips.short_side, clips.snapshot))
    if stream != "rgb":
        sources.append(_flow_source(recipe, flow_root))
    return sources


def _flow_source(recipe: Recipe, flow_root: Path | None) -> Frames:
    clips, flow = recipe.clips, recipe.training.flow
    if flow == "computed":
        return FlowFromFrames(clips.fps, clips.short_side)
    if flow != "stored":
        if not Path(flow).is_dir():
            raise InputError(
                f"training.flow is {flow}, but must be stored, computed, or a folder of flow images."
            )
        return FlowImages(Path(flow), clips.short_side)
    if flow_root is None:
        raise ValueError("stored flow needs flow_root")
    return FlowStore(flow_root, recipe.flow, clips.fps, clips.short_side)


class Draws(DistributedSampler[int]):
    """The numbers of the clips that one process draws in an epoch, from the trainer's step on.

    It is a DistributedSampler so that Lightning leaves the sharing among processes to it.

    Args:
        step: Gives the trainer's optimiser step.
        steps: Steps of an epoch.
        batch_size: Clips per step, over all processes.
        rank: Number of the process.
        world_size: Number of processes.
    """

    def __init__(
        self, step: Callable[[], int], steps: int, batch_size: int, rank: int, world_size: int
    ) -> None:
        super().__init__(range(steps * batch_size), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.step, self.steps, self.batch_size = step, steps, batch_size

    def __iter__(self) -> Iterator[int]:
        share = self.batch_size // self.num_replicas
        for step in range(self.step(), self.step() + self.steps):
            first = step * self.batch_size + self.rank * share
            yield from range(first, first + share)

    def __len__(self) -> int:
        return self.steps * (self.batch_size // self.num_replicas)


def _place() -> tuple[int, int]:
    """This process's number and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _shared(dataset: Dataset[Any]) -> DistributedSampler[Any] | None:
    """Shares items among processes; the last ones may come twice, so results are keyed by index."""
    rank, world_size = _place()
    return DistributedSampler(dataset, world_size, rank, shuffle=False) if world_size > 1 else None


def _sensible_workers() -> int:
    """One core stays with the training itself; sixteen processes keep up with any one device."""
    return min(available_cores() - 1, 16) // _place()[1]
