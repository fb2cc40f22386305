"""Padding against TensorFlow's own formula, written out independently."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from i3d_lightning.networks.layers import ConvUnit, MaxPool, same_padding

SIZES = [(9, 9, 9), (10, 11, 12), (13, 8, 7), (16, 15, 14), (7, 17, 10)]


def tensorflow_pads(size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    """As F.pad takes them, from the wanted output length: TensorFlow's documentation of "SAME"."""
    pads: list[int] = []
    for n, k, s in reversed(list(zip(size, kernel, stride, strict=True))):
        total = max((math.ceil(n / s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1), (1, 2), (5, 3)])
def test_same_padding_is_tensorflows(size, kernel, stride):
    pads = same_padding(size, (kernel,) * 3, (stride,) * 3)
    flat = [n for pair in reversed(pads) for n in pair]
    assert flat == tensorflow_pads(size, (kernel,) * 3, (stride,) * 3)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (1, 1)])
def test_convolution_is_padded_as_in_tensorflow(dims, size, kernel, stride):
    size = size[:dims]
    unit = ConvUnit(dims, 2, 3, kernel, stride).double().eval()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    padded = F.pad(x, tensorflow_pads(size, (kernel,) * dims, (stride,) * dims))
    convolve = F.conv2d if dims == 2 else F.conv3d
    expected = F.relu(convolve(padded, unit.conv.weight, stride=stride) / math.sqrt(1 + 1e-3))
    got = unit(x)
    assert got.shape[2:] == tuple(math.ceil(n / stride) for n in size)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((2, 2, 2), (2, 2, 2)),
        ((3, 3), (2, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_max_pool_is_padded_as_in_tensorflow(size, kernel, stride, dtype, channels_last):
    size = size[: len(kernel)]
    x = (torch.randn(2, 16, *size) - 5).to(dtype)  # below zero, where padding by zeros would show
    if channels_last:
        x = x.to(memory_format=torch.channels_last if len(kernel) == 2 else torch.channels_last_3d)
    padded = F.pad(x, tensorflow_pads(size, kernel, stride), value=-math.inf)
    pool = F.max_pool2d if len(kernel) == 2 else F.max_pool3d
    torch.testing.assert_close(MaxPool(kernel, stride)(x), pool(padded, kernel, stride), rtol=0, atol=0)


def test_running_statistics_follow_the_momentum():
    unit = ConvUnit(3, 2, 4, 1, batchnorm_momentum=0.25).train()
    x = torch.randn(5, 2, 4, 6, 6)
    unit(x)
    convolved = F.conv3d(x, unit.conv.weight)
    mean, variance = convolved.mean((0, 2, 3, 4)), convolved.transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(unit.bn.running_mean, 0.25 * mean)
    torch.testing.assert_close(unit.bn.running_var, 0.75 + 0.25 * variance)


def test_filters_begin_as_kaimings_and_their_scale_does_not_matter():
    """Sonnet's are a normal of deviation 1 / sqrt(fan-in), cut off at twice that: 2.6 times less variance."""
    torch.manual_seed(0)
    unit = ConvUnit(3, 32, 64, 3)
    sonnets = torch.nn.init.trunc_normal_(torch.empty(100_000), a=-2, b=2).var()
    assert unit.conv.weight.var().item() == pytest.approx(2 / (32 * 27), rel=0.02)
    assert 2 / sonnets.item() == pytest.approx(2.6, abs=0.05)
    x = torch.randn(4, 32, 3, 5, 5)
    before = unit(x)
    with torch.no_grad():
        unit.conv.weight *= 2
    torch.testing.assert_close(unit(x), before, atol=5e-3, rtol=0)


def test_gains_are_trained():
    unit = ConvUnit(3, 2, 4, 1)
    assert torch.equal(unit.bn.weight, torch.ones(4))
    unit(torch.randn(3, 2, 4, 5, 5)).square().sum().backward()
    assert unit.bn.weight.grad.abs().min() > 0


def test_bf16_gradients_over_two_time_steps_are_those_of_float32():
    """What oneDNN computes here reads unwritten memory: now and then it is NaN or beyond 1e20."""
    torch.manual_seed(0)
    unit = ConvUnit(3, 48, 64, 3)
    x = torch.randn(8, 48, 2, 2, 2).contiguous(memory_format=torch.channels_last_3d)
    gradients = {}
    for enabled in (False, True):
        for _ in range(10):
            scrap = [torch.full((1 << 16,), float("nan")) for _ in range(8)]
            del scrap  # what unwritten memory may hold
            unit.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                loss = unit(x).float().square().sum()
            loss.backward()
            gradients.setdefault(enabled, []).append(unit.conv.weight.grad.clone())
    expected = gradients[False][0]
    for gradient in gradients[True]:
        assert torch.nn.functional.cosine_similarity(gradient.flatten(), expected.flatten(), 0) > 0.99
