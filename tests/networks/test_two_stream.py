from __future__ import annotations

import pytest
import torch

from i3d_lightning.networks.c3d import C3D
from i3d_lightning.networks.fused_3d import Fused3D
from i3d_lightning.networks.network import stacks
from i3d_lightning.networks.two_stream import TwoStream


def test_stacks_are_ten_neighbouring_fields():
    flow = torch.arange(20.0).view(1, 1, 20, 1, 1) * torch.tensor([1.0, 100.0]).view(1, 2, 1, 1, 1)
    stacked = stacks(flow, 10)
    assert stacked.shape == (1, 20, 2, 1, 1)
    assert stacked[0, :, 1, 0, 0].tolist() == [v for f in range(10, 20) for v in (f, 100.0 * f)]
    with pytest.raises(ValueError, match="multiple of 10 fields, got 19"):
        stacks(flow[:, :, :19], 10)


def test_the_joint_logits_are_the_mean_of_the_streams():
    torch.manual_seed(0)
    joint = TwoStream(3, "joint").eval()
    single = {name: TwoStream(3, name).eval() for name in ("rgb", "flow")}
    for i, (name, network) in enumerate(single.items()):
        network.get_submodule(name).load_state_dict(joint.get_submodule(name).state_dict())
        network.classifier.weight.data = joint.classifier.weight.data[:, 1024 * i : 1024 * (i + 1)]
        network.classifier.bias.data = joint.classifier.bias.data
    rgb, flow = torch.randn(1, 3, 2, 32, 32), torch.randn(1, 2, 20, 32, 32)
    with torch.no_grad():
        both = joint(rgb, flow)
        mean = (single["rgb"](rgb) + single["flow"](flow)) / 2
    torch.testing.assert_close(both, mean, atol=1e-5, rtol=1e-4)


def test_snapshots_are_seen_one_by_one():
    network = TwoStream(3, "rgb").eval()
    clip = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            network(clip)[:, :, 2], network(clip[:, :, 2:3])[:, :, 0], atol=1e-5, rtol=1e-4
        )


def test_fusion_looks_over_snapshots():
    network = Fused3D(3, "rgb").eval()
    clip = torch.randn(1, 3, 3, 32, 32)
    swapped = clip[:, :, [2, 1, 0]]
    with torch.no_grad():
        assert not torch.allclose(network(clip), network(swapped))
        assert network(clip).shape == (1, 3, 1)


def test_c3d_cuts_long_clips_into_sixteens():
    torch.manual_seed(0)
    network = C3D(3, crop=32).eval()
    clip = torch.randn(1, 3, 40, 32, 32)
    with torch.no_grad():
        logits = network(clip)
        assert logits.shape == (1, 3, 3)
        torch.testing.assert_close(logits[:, :, 1:2], network(clip[:, :, 12:28]), atol=1e-5, rtol=1e-4)
    for wrong in (clip[:, :, :15], clip[..., :24]):
        with pytest.raises(ValueError, match="t >= 16 and h = w = 32"):
            network(wrong)
