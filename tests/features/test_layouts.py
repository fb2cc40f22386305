"""Features as each project's own code reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from features.small import distance, naive_flow, naive_rgb, save, video_of

from i3d_lightning.features import LAYOUTS, extract_features

VIDEO = "class/v_a.avi"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    return {stream: str(save(folder / stream, stream)) for stream in ("rgb", "flow")}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder of one video of 40 frames."""
    root = tmp_path_factory.mktemp("videos")
    video_of(root / VIDEO, 40)
    return root


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, videos, weights):
    """Extracts features, of windows as small as they may be."""

    def extract(layout: str, **more: object) -> Path:
        folder = tmp_path_factory.mktemp(layout)
        given = {"stream": "rgb+flow", "weights": weights, "clip": 9, "step": 4, **more}
        extract_features(videos, folder, layout=layout, **given)
        return folder

    return extract


def actionformer(folder: Path, key: str, about: dict) -> tuple[np.ndarray, float, float]:
    """As libs/datasets/thumos14.py reads: C x T, and where on its grid second 0 and second 1 lie."""
    feats = np.load(folder / f"{key}.npy").astype(np.float32)
    grid = [(second * about["fps"] - 0.5 * about["clip"]) / about["step"] for second in (0, 1)]
    return np.ascontiguousarray(feats.transpose()), *grid


def opentad(folders: list[Path], name: str) -> np.ndarray:
    """As opentad/datasets/transforms/loading.py reads a list of folders."""
    feats = [np.load(folder / f"{name}.npy").astype(np.float32) for folder in folders]
    longest = max(feat.shape[0] for feat in feats)
    for i, feat in enumerate(feats):
        if feat.shape[0] != longest:
            resized = F.interpolate(torch.from_numpy(feat).T[None], size=longest, mode="linear")
            feats[i] = resized[0].T.numpy()
    return np.concatenate(feats, axis=1)


def video_features(folder: Path, video: str, streams: tuple[str, ...]) -> dict[str, np.ndarray]:
    """As video_features names its files: <stem>_<stream>.npy."""
    return {stream: np.load(folder / f"{Path(video).stem}_{stream}.npy") for stream in streams}


def test_actionformer_finds_time_and_both_streams_where_it_looks_for_them(extracted, videos, weights):
    """39 flow fields: windows begin at 0, 4, ..., 28, the last that is whole."""
    folder = extracted("actionformer")
    about = json.loads((folder / "features.json").read_text())
    feats, second_0, second_1 = actionformer(folder, "v_a", about)
    assert feats.shape == (2048, 8) and feats.dtype == np.float32
    assert (second_0, second_1) == ((0 - 4.5) / 4, (25 - 4.5) / 4)
    for stream, naive in (("rgb", naive_rgb), ("flow", naive_flow)):
        first, end = about["channels"][stream]
        expected = naive(videos / VIDEO, weights[stream], 9, 4, 8)
        assert np.abs(np.diff(expected, axis=0)).max(axis=1).min() > 1e-3 * expected.max()  # windows differ
        assert distance(feats.T[:, first:end], expected) < 1e-5
    np.testing.assert_array_equal(np.load(extracted("plain") / "class/v_a.npy"), feats.T)


def test_opentad_puts_its_folders_side_by_side(extracted):
    folder = extracted("opentad")
    feats = opentad([folder / "rgb", folder / "flow"], "v_a")
    assert np.load(folder / "rgb/v_a.npy").shape == np.load(folder / "flow/v_a.npy").shape == (8, 1024)
    np.testing.assert_array_equal(feats, np.load(extracted("actionformer") / "v_a.npy"))
    blocked = [line.rstrip("\n") for line in (folder / "missing_files.txt").open()]
    assert blocked == []


def test_video_features_has_a_file_for_each_stream_and_drops_what_is_incomplete(extracted, weights):
    """Of 40 frames the stacks of 12 + 1, every 9, are those at 0, 9, 18 and 27."""
    folder = extracted("video-features", clip=12, step=9)
    feats = video_features(folder, "videos/class/v_a.avi", ("rgb", "flow"))
    assert {name: f.shape for name, f in feats.items()} == {"rgb": (4, 1024), "flow": (4, 1024)}
    alone = extracted("video-features", clip=12, step=9, stream="rgb", weights=weights["rgb"])
    np.testing.assert_array_equal(np.load(alone / "v_a_rgb.npy"), feats["rgb"])


def test_a_stack_of_video_features_takes_a_frame_more_than_it_sees(extracted, weights):
    for clip, stacks in ((39, 1), (40, 0)):
        folder = extracted("video-features", clip=clip, stream="rgb", weights=weights["rgb"])
        assert (folder / "v_a_rgb.npy").exists() == bool(stacks)
        missing = [line.rstrip("\n") for line in (folder / "missing_files.txt").open()]
        assert missing == ([] if stacks else ["v_a"])
    why = json.loads((folder / "left_out.json").read_text())["missing"]["v_a"]
    assert "has 40 frames, but a window takes 41" in why


def test_the_cricket_clip_reads_back_in_each_layout(assets, tmp_path, weights):
    """79 frames, so 78 flow fields, in the projects' usual windows: 16 every 4th, or 64 every 64th."""
    clip = assets / "clips" / "v_CricketShot_g04_c01_rgb.gif"
    for layout in ("actionformer", "opentad", "video-features"):
        extract_features(clip, tmp_path / layout, layout=layout, stream="rgb+flow", weights=weights)
    about = json.loads((tmp_path / "actionformer/features.json").read_text())
    feats, *_ = actionformer(tmp_path / "actionformer", clip.stem, about)
    assert feats.shape == (2048, 16)  # the centre of the last lies at frame 15 * 4 + 8
    folders = [tmp_path / "opentad" / stream for stream in ("rgb", "flow")]
    np.testing.assert_array_equal(opentad(folders, clip.stem), feats.T)
    found = video_features(tmp_path / "video-features", str(clip), ("rgb", "flow"))
    assert distance(found["rgb"], naive_rgb(clip, weights["rgb"], 64, 64, 1)) < 1e-5
    assert distance(found["flow"], naive_flow(clip, weights["flow"], 64, 64, 1)) < 1e-5


def test_usual_windows_are_those_of_the_projects():
    usual = {layout.name: (layout.clip, layout.step) for layout in LAYOUTS}
    assert usual == {
        "plain": (64, 16),
        "actionformer": (16, 4),
        "opentad": (16, 4),
        "video-features": (64, 64),
    }
