"""The verb features: what networks see in any videos, over time."""

from __future__ import annotations

from pathlib import Path

from i3d_lightning.cli.experiments import weights_by_stream
from i3d_lightning.errors import check_known
from i3d_lightning.study.workspace import check_folder


def features(
    src: Path,
    dst: Path,
    architecture: str | None = None,
    weights: str | None = None,
    stream: str = "rgb",
    endpoint: str = "features",
    clip: int | None = None,
    step: int | None = None,
    fps: float | None = None,
    layout: str = "plain",
    part: str = "1/1",
    json: bool = False,
) -> None:
    """Compute features over time of many videos, in the files that other projects read.

    What is there is skipped, so the command may be stopped and given again, and several machines may share a
    folder. The exit status is 1 where videos have no features: missing_files.txt names them.

    Args:
        src: A folder of videos at any depth, a video, or a list: a text of paths, or a CSV with a column
            `path`.
        dst: Folder to keep features in.
        architecture: The network (see `i3d architectures`); by default that of the weights, or `i3d`.
        weights: A name (see `i3d weights list`) or path, or one for each stream: `rgb=...,flow=...`.
        stream: `rgb`, `flow`, `joint`, or `rgb+flow` for two networks.
        endpoint: The layer: `features`, the input of the last one, or a stage that `i3d architectures i3d`
            lists.
        clip: Frames of a window; by default the layout's.
        step: Frames from one window to the next; by default the layout's.
        fps: Frame rate that videos are resampled to; by default that of the weights.
        layout: `plain` (64 frames every 16th), `actionformer`, `opentad` (16 every 4th) or `video-features`
            (64 every 64th).
        part: `2/8` computes the second of eight parts, for as many processes or machines.
        json: Print one JSON object: `folder`, `computed`, `there`, `missing` and `partly`.
    """
    from dataclasses import asdict

    from i3d_lightning.cli.output import print_json
    from i3d_lightning.features import extract_features
    from i3d_lightning.features.extract import STREAMS
    from i3d_lightning.recipe import plain

    check_known("stream", stream, STREAMS)
    check_folder("DST", dst)
    done = extract_features(
        src, dst, architecture=architecture, weights=weights_by_stream(weights, STREAMS[stream]),
        stream=stream, endpoint=endpoint, clip=clip, step=step, fps=fps, layout=layout, part=part,
        progress=True,
    )  # fmt: skip
    if json:
        print_json([plain(asdict(done))])
    else:
        have, videos = done.computed + done.there, done.computed + done.there + len(done.missing)
        print(f"{have} of {videos} videos have their features in {dst}, {done.there} of them from before.")
    if done.missing:
        raise SystemExit(1)
