"""Features of many videos: what was asked for, checked, and where it is kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from i3d_lightning import lease
from i3d_lightning.errors import InputError, check_known
from i3d_lightning.experiment import FUSION
from i3d_lightning.features.folder import PARTS, FeatureFolder
from i3d_lightning.features.job import Extracted, Job
from i3d_lightning.features.layouts import LAYOUTS
from i3d_lightning.features.progress import Meter
from i3d_lightning.features.streams import LAST, FeatureStream
from i3d_lightning.features.videos import find_videos, part_of, read_part
from i3d_lightning.training.precision import forbid_tf32

log = logging.getLogger(__name__)

STREAMS = {"rgb": ("rgb",), "flow": ("flow",), "joint": ("joint",), FUSION: ("rgb", "flow")}
"""What may be asked for, and the networks behind it."""


def extract_features(
    src: str | Path,
    dst: str | Path,
    *,
    architecture: str | None = None,
    weights: str | Path | Mapping[str, str | Path | None] | None = None,
    stream: str = "rgb",
    endpoint: str = LAST,
    clip: int | None = None,
    step: int | None = None,
    fps: float | None = None,
    layout: str = "plain",
    part: str = "1/1",
    progress: bool = False,
) -> Extracted:
    """Compute the features of windows of every video, and keep them as float32 arrays `t c`.

    What is there and whole is not computed again: a call that was stopped is given again. Several processes
    and machines may share the folder, each with a part.

    Args:
        src: A folder of videos at any depth, a video, or a list: a text of paths, or a CSV with a column
            `path`.
        dst: The folder to keep features in; of one kind, which its `features.json` says.
        architecture: The network, by a name that `list_models` lists; by default that of the weights, or
            `i3d`.
        weights: A name that `list_weights` lists or a path, or one for each stream; by default those
            published for the network and stream, where there are no others.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for two networks.
        endpoint: The layer: `features`, the input of the last one, or a stage of I3D such as `Mixed_4f`;
            averaged over space and time.
        clip: Frames of a window; by default the layout's, or the only ones that the network takes.
        step: Frames from one window to the next; by default the layout's.
        fps: Frame rate that videos are resampled to; by default that of the weights.
        layout: `plain`, `actionformer`, `opentad` or `video-features`, see docs/features.md.
        part: `2/8` is the second of eight parts, which videos fall into by their ids.
        progress: Show how far it is.

    Returns:
        How many videos have their features, and why others have none.

    Raises:
        InputError: Something that was asked for does not go together, or the folder holds other features.
    """
    check_known("stream", stream, STREAMS)
    form, (number, parts) = LAYOUTS[layout], read_part(part)
    videos = find_videos(Path(src), form.flat)
    for name, given in {"clip": clip, "step": step}.items():
        if given is not None and given < 1:
            raise InputError(f"{name} is {given}, but must be at least 1.")
    streams = _streams(STREAMS[stream], architecture, weights, endpoint, fps)
    clip = clip or streams[0].only_clip or form.clip
    step = step or form.step
    for one in streams:
        one.check(clip)
        for warning in one.warnings:
            log.warning("Features: %s.", warning)
    job = Job(FeatureFolder(Path(dst)), form, tuple(streams), clip, step)
    job.folder.claim(job.about(stream, endpoint), (file for v in videos for file in job.files(v)))
    forbid_tf32("float32")
    mine = part_of(videos, number, parts)
    with lease.held(Path(dst) / PARTS / f"{number}-of-{parts}", f"Part {part} of {dst}"):
        return job.run(mine, Meter(len(mine), progress))


def _streams(
    names: Sequence[str],
    architecture: str | None,
    weights: str | Path | Mapping[str, str | Path | None] | None,
    endpoint: str,
    fps: float | None,
) -> list[FeatureStream]:
    """Make the networks, which must be shown the same frames."""
    if not isinstance(weights, Mapping):
        if weights is not None and len(names) > 1:
            raise InputError(
                f"{weights} is for one stream, but {' and '.join(names)} are to be computed: give weights "
                "for each, rgb=...,flow=..."
            )
        weights = dict.fromkeys(names, weights)
    for name in weights:
        check_known("stream", name, names)
    given = {name: str(found) for name, found in weights.items() if found is not None}
    made = [FeatureStream(name, architecture, given.get(name), endpoint, fps) for name in names]
    first = made[0]
    for other in made[1:]:
        if (other.source, other.clips.test_side) != (first.source, first.clips.test_side):
            raise InputError(
                f"The weights for {first.stream} and {other.stream} want frames prepared differently "
                f"({_frames_of(first)}, and {_frames_of(other)}): extract their features one by one, into "
                "folders of their own."
            )
    return made


def _frames_of(stream: FeatureStream) -> str:
    clips = stream.clips
    return f"{clips.fps:g} a second, {clips.short_side} px, cropped to {clips.test_side}"
