"""Long clips in pieces: the same activations, whatever the lengths."""

from __future__ import annotations

import pytest
import torch

from i3d_lightning.networks import inception, network
from i3d_lightning.networks.inception import _STEM, _STEM_REACH_AND_STRIDE, Inception
from i3d_lightning.networks.network import each_frame
from i3d_lightning.networks.receptive_field import receptive_fields


@pytest.mark.parametrize("early_temporal_stride", [False, True])
def test_the_reach_of_the_stem_is_that_of_its_receptive_field(early_temporal_stride):
    field = receptive_fields(Inception(3, early_temporal_stride=early_temporal_stride))[_STEM - 1]
    reach, stride = _STEM_REACH_AND_STRIDE[early_temporal_stride]
    assert (2 * reach + 1, stride) == (field.frames, field.frame_stride)


@pytest.mark.parametrize("early_temporal_stride", [False, True])
@pytest.mark.parametrize("frames", [33, 47, 48, 50, 64, 71, 97])
def test_pieces_give_what_the_whole_clip_gives(frames, early_temporal_stride, monkeypatch):
    torch.manual_seed(0)
    stages = Inception(
        3, final_endpoint="MaxPool3d_3a_3x3", early_temporal_stride=early_temporal_stride
    ).eval()
    clip = torch.rand(2, 3, frames, 32, 32) * 2 - 1
    with torch.inference_mode():
        monkeypatch.setattr(inception, "PIECE", 16)
        pieces = stages(clip)
        monkeypatch.setattr(inception, "PIECE", 128)
        whole = stages(clip)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)
    assert whole.std() > 0.1


def test_a_clip_with_gradients_or_batch_statistics_stays_whole(monkeypatch):
    monkeypatch.setattr(inception, "PIECE", 16)
    network = Inception(3, final_endpoint="MaxPool3d_3a_3x3")
    clip = torch.zeros(1, 3, 33, 32, 32)
    assert not network._is_long(clip)
    with torch.no_grad():
        assert not network._is_long(clip)
        assert network.eval()._is_long(clip)
    assert not network._is_long(clip)


def test_images_of_a_clip_come_some_at_once_and_in_order(monkeypatch):
    torch.manual_seed(0)
    images = Inception(2, final_endpoint="MaxPool2d_2a_3x3").eval()
    clip = torch.rand(2, 3, 7, 32, 32)
    with torch.no_grad():
        whole = each_frame(images, clip)
        monkeypatch.setattr(network, "IMAGES_AT_ONCE", 3)
        torch.testing.assert_close(each_frame(images, clip), whole)
