"""What holds for networks of any other library."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from i3d_lightning.errors import InputError
from i3d_lightning.networks.adapter import (
    WINDOWS_AT_ONCE,
    AdaptedNetwork,
    adapted_state,
    library,
    windows,
)
from i3d_lightning.networks.layers import PaddingConv3d


def test_windows_follow_each_other_and_the_last_ends_with_the_clip():
    clip = torch.arange(10.0).view(1, 1, 10, 1, 1)
    assert windows(clip, 4)[0, :, 0, :, 0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]]
    assert windows(clip, 5).flatten().tolist() == list(range(10))
    assert windows(clip, 10).shape == (1, 1, 1, 10, 1, 1)
    with pytest.raises(ValueError, match="expected a clip of 11 frames or more, got 10"):
        windows(clip, 11)


class Body(nn.Module):
    """A convolution, the mean of each clip, and a last layer behind a dropout of its own."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.9), last)
        self.seen: list[int] = []

    def forward(self, x):
        self.seen.append(len(x))
        x = self.stem(x)
        if isinstance(self.head[1], nn.Linear):
            return self.head(x.mean((2, 3, 4)))
        return self.head(x).mean((2, 3, 4))


@pytest.mark.parametrize("last", [nn.Linear(4, 6), nn.Conv3d(4, 6, 1), nn.Conv3d(4, 6, 1, bias=False)])
def test_logits_of_a_long_clip_are_the_mean_of_the_librarys_on_its_windows(last):
    torch.manual_seed(0)
    body = Body(last).eval()
    clip = torch.randn(2, 3, 11, 5, 5)
    with torch.no_grad():
        expected = torch.stack([body(part) for part in windows(clip, 4).unbind(1)]).mean(0)
    state = adapted_state(body.state_dict(), "head.1")
    network = AdaptedNetwork(body, "head.1", 4, 6, 0.5, ("head.0",)).eval()
    assert network.load_state_dict(state, strict=False).unexpected_keys == []
    if last.bias is None:
        network.classifier.bias.data.zero_()
    with torch.no_grad():
        torch.testing.assert_close(network.pool_time(network(clip)), expected, rtol=1e-5, atol=1e-6)
    assert network.forward_features(clip).shape == (2, 4, 3)


def test_without_gradients_a_few_windows_are_seen_at_once():
    body = Body(nn.Linear(4, 6))
    network = AdaptedNetwork(body, "head.1", 2, 6, 0.5).eval()
    clip = torch.randn(1, 3, 4 * WINDOWS_AT_ONCE, 4, 4)
    with torch.no_grad():
        features = network.forward_features(clip)
    assert body.seen == [WINDOWS_AT_ONCE] * 2
    torch.testing.assert_close(network.forward_features(clip), features)
    assert body.seen[2:] == [2 * WINDOWS_AT_ONCE]


@pytest.mark.parametrize(
    ("kernel", "frames", "groups"),
    [((3, 3, 3), 2, 1), ((3, 1, 1), 2, 1), ((5, 1, 1), 3, 1), ((3, 3, 3), 2, 32)],
)
def test_bf16_gradients_of_convolutions_longer_than_the_clip_read_no_foreign_memory(kernel, frames, groups):
    """On CPUs with AVX512-bf16, PyTorch 2.15 makes such a layer's gradient of what was freed before."""
    torch.manual_seed(0)
    plain = nn.Conv3d(32, 32, kernel, padding=tuple(k // 2 for k in kernel), groups=groups, bias=False)
    layer = PaddingConv3d.of(plain)
    assert layer.weight is plain.weight
    for _ in range(10):
        freed = [torch.full((200_000,), float("nan")) for _ in range(3)]
        del freed
        x = torch.randn(4, 32, frames, 4, 4)
        (exact,) = torch.autograd.grad(plain(x).square().sum(), plain.weight)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        (rounded,) = torch.autograd.grad(out.float().square().sum(), plain.weight)
        assert (rounded - exact).abs().max() < 0.03 * exact.abs().max()
    torch.testing.assert_close(layer(x), plain(x))


def test_a_library_that_is_missing_or_too_old_is_named_with_the_remedy():
    library("torch")
    with pytest.raises(InputError, match=r"not installed: pip install no-such-package\."):
        library("no-such-package")
    with pytest.raises(InputError, match=r"pip install 'i3d-lightning\[some\]'"):
        library("no-such-package", extra="some")
    with pytest.raises(InputError, match=r"torch .* is too old for this network, which needs 99\.0"):
        library("torch", least="99.0")
