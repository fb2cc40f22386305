"""Where features lie and which windows they are of, as each project's own code reads them."""

from __future__ import annotations

from dataclasses import dataclass

from i3d_lightning.registry import Registry


@dataclass(frozen=True)
class Layout:
    """A way to lay features out.

    Windows begin at frame 0 and every `step` frames of the timeline, and only whole ones are taken: the
    centre of feature i lies `i * step + clip / 2` frames after the start.

    Attributes:
        name: What users call it by.
        clip: Frames of a window, where nothing else is said.
        step: Frames from one window to the next, likewise.
        file: Where a video's features lie below the folder, from its `{id}` and, where each stream has a file
            of its own, its `{stream}`. Without `{stream}` the streams stand beside each other, RGB first.
        flat: Whether a video's id is its name alone, and not its path below the source.
        pairs: Whether a window takes one frame more than it sees, as if there always were flow.
        loops: Whether a video shorter than a window is looped to one, instead of having none.
    """

    name: str
    clip: int
    step: int
    file: str
    flat: bool = True
    pairs: bool = False
    loops: bool = True

    @property
    def joins(self) -> bool:
        """Whether all streams are in one file."""
        return "{stream}" not in self.file

    @property
    def tail(self) -> str:
        """What is done with the end of a video, and with one that is shorter than a window, in words."""
        needed = "clip + 1 frames, of which the last is not seen" if self.pairs else "clip frames"
        short = "looped to one window" if self.loops else "left out and listed as missing"
        return f"only windows with all of their {needed} are taken; a shorter video is {short}"


LAYOUTS: Registry[Layout] = Registry("layout")

LAYOUTS.register(Layout("plain", clip=64, step=16, file="{id}.npy", flat=False))
LAYOUTS.register(
    # happyharrycn/actionformer_release, libs/datasets/thumos14.py: feat_folder/<key>.npy, T x C, feature i at
    # second (i * feat_stride + num_frames / 2) / fps; configs/thumos_i3d.yaml: 4, 16 and 2048 channels.
    Layout("actionformer", clip=16, step=4, file="{id}.npy")
)
LAYOUTS.register(
    # sming256/OpenTAD, opentad/datasets/transforms/loading.py: of a list of folders, data_path/<name>.npy of
    # each, T x C, side by side; features_i3d_train_trunc_test_sw.py: feature_stride 4, offset_frames 8.
    Layout("opentad", clip=16, step=4, file="{stream}/{id}.npy")
)
LAYOUTS.register(
    # v-iashin/video_features, models/i3d/extract_i3d.py: <stem>_<stream>.npy, T x C; a stack needs
    # stack_size + 1 frames whatever the stream, an incomplete one is not run.
    Layout("video-features", clip=64, step=64, file="{id}_{stream}.npy", pairs=True, loops=False)
)
