from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from i3d_lightning.datasets.split import Video
from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips
from i3d_lightning.training.feature_store import FeatureStore
from i3d_lightning.training.features import frozen_features

VIDEOS = [Video(f"{n}.avi", Path(f"{n}.avi"), 0, "g", sha256=f"{n:064x}") for n in range(4)]


class Network:
    """In the place of a trainer: its features of a video are its number, or what it is told."""

    is_global_zero = True

    def __init__(self, **odd: float) -> None:
        self.odd, self.asked = odd, 0

    def predict(self, stream, datamodule, return_predictions):
        for index, video in enumerate(datamodule):
            self.asked += 1
            value = self.odd.get(video.path.stem, float(video.path.stem))
            partly = "28 of 139 frames" if video is VIDEOS[2] else None
            stream.keep(index, torch.full((3,), value), partly)
            stream.looped += [index] * (video is VIDEOS[3])


def get(store: FeatureStore, network: Network, videos=VIDEOS):
    data = SimpleNamespace(split=SimpleNamespace(name="made"), clips=Clips(), whole=list)
    return frozen_features(nn.Identity(), videos, data, store, network)


def test_rows_keep_their_order_and_say_which_videos_were_partly_read_or_looped(tmp_path, caplog):
    get(FeatureStore(tmp_path, {}), Network(), VIDEOS[2:])
    network = Network()
    found = get(FeatureStore(tmp_path, {}), network)
    assert found.values[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert network.asked == 2
    assert found.partly == {"2.avi": "28 of 139 frames"}
    assert "1 of 2 videos are shorter than a clip of 64 frames at 25 a second" in caplog.text
    assert "such as 3.avi" in caplog.text


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_name_their_video_and_are_not_stored(tmp_path, bad):
    store = FeatureStore(tmp_path, {})
    with pytest.raises(InputError, match=r"The features of 1\.avi are not finite"):
        get(store, Network(**{"1": bad}))
    assert len(FeatureStore(tmp_path, {}).read(v.sha256 for v in VIDEOS)) == 1  # the one before it


def test_a_damaged_one_is_computed_anew(tmp_path, caplog):
    store = FeatureStore(tmp_path, {})
    get(store, Network())
    (shard,) = store.folder.glob("*.safetensors")
    raw = bytearray(shard.read_bytes())
    raw[raw.find(torch.full((3,), 3.0).numpy().tobytes()) + 2] ^= 1
    shard.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        network = Network()
        assert get(FeatureStore(tmp_path, {}), network).values[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert network.asked == 1
    assert VIDEOS[3].sha256 in caplog.text
