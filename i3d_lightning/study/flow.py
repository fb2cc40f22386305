"""The stored flow of a run's videos: computed before it, and divided among its processes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from i3d_lightning import lease, ranks
from i3d_lightning.flow import FlowStore
from i3d_lightning.video.cores import available_cores
from i3d_lightning.video.file import VideoFile


def compute_flow(videos: Sequence[VideoFile], store: FlowStore, name: str) -> None:
    """Compute the flow that is missing; of two runs at once one does, and the other waits.

    Those processes that miss the same videos see the same folder and divide them. Where each machine
    has a folder of its own, what the others computed is missing still, and is divided once more.

    Args:
        videos: The videos, the same on all processes.
        store: Where their flow is kept.
        name: Of the data set; runs on others do not wait.
    """
    if any(ranks.gather(len(store.missing(videos)))):
        with lease.held(store.folder / name, f"Flow of {name}") if ranks.is_first() else nullcontext():
            _divide(videos, store)


def _divide(videos: Sequence[VideoFile], store: FlowStore) -> None:
    numbers = {video: number for number, video in enumerate(videos)}
    workers = -1 if ranks.size() == 1 else max(1, available_cores() // ranks.size())
    unreadable: set[int] = set()
    while True:
        lacking = [n for n in (numbers[v] for v in store.missing(videos)) if n not in unreadable]
        everywhere = ranks.gather(lacking)
        if not any(everywhere):
            return
        alike = [rank for rank, theirs in enumerate(everywhere) if theirs == lacking]
        share = lacking[alike.index(ranks.rank()) :: len(alike)]
        failures = store.compute([videos[n] for n in share], workers, progress=ranks.is_first())
        unreadable = unreadable.union(*ranks.gather([numbers[video] for video in failures]))
