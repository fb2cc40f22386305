"""The LightningDataModule over any data set: the same clips whatever the number of processes or devices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from i3d_lightning import ranks
from i3d_lightning.datasets.clips import (
    Batch,
    CentreClips,
    Frames,
    RGBFrames,
    TrainingClips,
    WholeBatch,
    WholeVideos,
    collate,
    collate_whole,
    worst,
)
from i3d_lightning.datasets.folds import hold_out
from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.datasets.split import DatasetSplit, Video
from i3d_lightning.errors import InputError
from i3d_lightning.flow import FlowFromFrames, FlowImages, FlowStore, compute_all
from i3d_lightning.flow.image_folders import folder_of_images, one_each
from i3d_lightning.recipe import Recipe
from i3d_lightning.video import boundary
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.damage import Damage
from i3d_lightning.video.images import ImageFrames

log = logging.getLogger(__name__)


class VideoDataModule(L.LightningDataModule):
    """Training by steps, validation on held-out groups where there are any, test on whole videos.

    An epoch is the optimiser steps between two checkpoints (`schedule.Course.validate_every`). Training draws
    clips from an endless sequence, of which a step takes the next `batch_size`; where it stands follows from
    the trainer's count of micro-batches alone, so a run resumed after any of them equals an undisturbed one.
    Processes share each step's draws, as do the micro-batches whose gradients are accumulated: the trainer is
    to use `accumulate_grad_batches=accumulate(world_size)`.

    Training and validation batches (`clips.Batch`) have one clip for the stream, or RGB and flow for `joint`,
    the index pointing into `train_videos` or `validation_videos`; test batches are `clips.WholeBatch`.

    Args:
        split: The videos.
        stream: What the network sees.
        recipe: How clips are made and how training is batched.
        seed: Seed of the held-out groups, the order and the augmentation.
        flow_root: Where flow is stored; it must be computed before.

    Attributes:
        unreadable: Id of a video that this process could not read in training or validation -> why.
        partly: Id of a video that it could read only in part -> its worst damage.
    """

    def __init__(
        self,
        split: DatasetSplit,
        stream: str,
        recipe: Recipe,
        seed: int,
        flow_root: Path | None = None,
    ) -> None:
        super().__init__()
        self.split, self.clips, self.training, self.seed = split, recipe.clips, recipe.training, seed
        self.flow_settings = recipe.flow
        self.sources = _sources(split.name, stream, recipe, flow_root)
        if stream != "rgb" and recipe.flow.images:
            one_each((video.file for video in (*split.train, *split.test)), recipe.flow.source)
        self.train_videos, self.validation_videos = hold_out(
            split.train, recipe.training.validation_fraction, seed
        )
        self.whole_videos: Sequence[Video] = split.test
        self.unreadable: dict[str, str] = {}
        self.partly: dict[str, Damage] = {}

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
        world_size = ranks.size()
        rank = ranks.rank() if world_size > 1 else 0  # its starter may number one alone too
        clips = TrainingClips(self.train_videos, self.sources, self.clips, self.seed)
        micro_batch = self.micro_batch(world_size)
        sampler = StepSampler(
            lambda: micro_batch * (self.trainer.fit_loop.total_batch_idx + 1) if self.trainer else 0,
            self.training.course.validate_every,
            self.training.batch_size,
            rank,
            world_size,
        )
        return self._loader(clips, micro_batch, sampler, collate)

    def val_dataloader(self) -> DataLoader[Any]:
        clips = CentreClips(self.validation_videos, self.sources, self.clips)
        return self._loader(clips, self.micro_batch(ranks.size()), _shared(clips), collate)

    def whole(self, videos: Sequence[Video]) -> VideoDataModule:
        """Give itself, for a test or prediction of these videos, each whole."""
        self.whole_videos = videos
        return self

    def test_dataloader(self) -> DataLoader[Any]:
        """Load the videos that `whole` was given, or else the split's test videos; indices point into these.

        A batch has as many videos as the frames that a device holds in training make up, at least one.
        """
        clips = WholeVideos(self.whole_videos, self.sources, self.clips)
        frames = self.training.device_batch * self.clips.train_frames
        return self._loader(clips, max(1, frames // self.clips.test_frames), _shared(clips), collate_whole)

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.test_dataloader()

    def on_before_batch_transfer(
        self, batch: Batch | WholeBatch | InputError, dataloader_idx: int
    ) -> Batch | WholeBatch:
        """Warn once of every video that could not be read in training, and remember it and those partly read.

        Raises:
            InputError: Video after video could not be read, or something else is wrong.
        """
        if isinstance(batch, InputError):
            raise batch
        if "groups" in batch:
            return batch
        unreadable = batch.pop("unreadable", {})
        for id_, why in unreadable.items():
            if id_ not in self.unreadable:
                log.warning("A video is left out of training: %s", why)
                self.unreadable[id_] = why
        if partly := batch.pop("partly", {}):
            self.partly = worst([self.partly, partly])
        if batch["clips"] is None:
            *_, why = unreadable.values()
            raise InputError(f"Too many videos in a row could not be read, the last one because: {why}")
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run could not know: which videos were not read as they should be."""
        partly = {id_: [damage.read, damage.of] for id_, damage in self.partly.items()}
        return {"unreadable": dict(self.unreadable), "partly": partly}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.unreadable = dict(state_dict["unreadable"])
        self.partly = {id_: Damage(*frames) for id_, frames in state_dict["partly"].items()}

    def on_after_batch_transfer(self, batch: Batch | WholeBatch, dataloader_idx: int) -> Batch | WholeBatch:
        """Compute the flow that is still to come, on the device that the batch is now on."""
        parts: Any = batch.get("groups", [batch])
        for part in parts:
            part["clips"] = tuple(
                compute_all(clips, self.flow_settings) if isinstance(clips, list) else clips
                for clips in part["clips"]
            )
        return batch

    def _loader(
        self, clips: Dataset[Any], batch_size: int, sampler: Any, collate: Callable[[Sequence[Any]], Any]
    ) -> DataLoader[Any]:
        workers = self.training.workers if self.training.workers >= 0 else _sensible_workers()
        boundary.start()  # else each data-loading process would start what it decodes in, every epoch
        return DataLoader(
            _ErrorsAsItems(clips),
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=partial(_unless_error, collate),
            pin_memory=torch.cuda.is_available(),
        )


class _ErrorsAsItems(Dataset[Any]):
    """A data set that gives errors to be shown to the user instead of raising them.

    From a data-loading process torch would pass them on as text, traceback and all.
    """

    def __init__(self, items: Dataset[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        try:
            return self.items[index]
        except InputError as error:
            return error


def _unless_error(collate: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> Any:
    """Make a batch of items, or give the first error among them in its place."""
    return next((item for item in items if isinstance(item, InputError)), None) or collate(items)


def _sources(dataset: str, stream: str, recipe: Recipe, flow_root: Path | None) -> list[Frames]:
    """List what the network sees: images, RGB frames, flow fields, or the last two."""
    clips, known = recipe.clips, DATASETS.get(dataset)
    if known is not None and known.images:
        return [ImageFrames(clips.short_side)]
    sources: list[Frames] = []
    if stream != "flow":
        sources.append(RGBFrames.of(clips))
    if stream != "rgb":
        sources.append(_flow_source(recipe, flow_root))
    return sources


def _flow_source(recipe: Recipe, flow_root: Path | None) -> Frames:
    clips, source = recipe.clips, recipe.flow.source
    if source == "computed":
        return FlowFromFrames(clips.fps, clips.short_side)
    if source != "stored":
        return FlowImages(folder_of_images(source), clips.fps, clips.short_side)
    if flow_root is None:
        raise ValueError("stored flow needs flow_root")
    return FlowStore(flow_root, recipe.flow, clips.fps, clips.short_side)


class StepSampler(DistributedSampler[int]):
    """Gives the numbers of the clips that are one process's, from where training stands to its epoch's end.

    It is a DistributedSampler so that Lightning leaves the sharing among processes to it.

    Args:
        drawn: Gives the count of clips that the process has trained on.
        steps: Steps of an epoch.
        batch_size: Clips per step, over all processes.
        rank: Number of the process.
        world_size: Number of processes.
    """

    def __init__(
        self, drawn: Callable[[], int], steps: int, batch_size: int, rank: int, world_size: int
    ) -> None:
        super().__init__(range(steps * batch_size), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.drawn, self.batch_size, self.share = drawn, batch_size, batch_size // world_size
        self.epoch_length = steps * self.share

    def __iter__(self) -> Iterator[int]:
        drawn = self.drawn()
        for clip in range(drawn, (drawn // self.epoch_length + 1) * self.epoch_length):
            step, place = divmod(clip, self.share)
            yield step * self.batch_size + self.rank * self.share + place

    def __len__(self) -> int:
        return self.epoch_length


def _shared(dataset: Dataset[Any]) -> DistributedSampler[Any] | None:
    """Share items among processes; the last ones may come twice, so results are keyed by index."""
    world_size = ranks.size()
    rank = ranks.rank() if world_size > 1 else 0  # what started this process may say a number all the same
    return DistributedSampler(dataset, world_size, rank, shuffle=False) if world_size > 1 else None


def _sensible_workers() -> int:
    """Count one for each core but that of training itself; sixteen keep up with any one device."""
    return min(available_cores() - 1, 16) // ranks.size()
