"""Convolution and max pooling padded as TensorFlow pads them, for images (2-D) and clips (3-D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Dims = Literal[2, 3]

BATCHNORM_EPS = 1e-3  # Sonnet's default, which the published weights were trained with


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """Padding (before, after) per dimension that makes the output `ceil(size / stride)` long.

    This is TensorFlow's "SAME" (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2):
    where the total is odd, the larger half comes after.

    Args:
        size: Length of the input in each dimension.
        kernel: Length of the window in each dimension.
        stride: Step of the window in each dimension.
    """
    totals = (max(k - (n % s or s), 0) for n, k, s in zip(size, kernel, stride, strict=True))
    return [(total // 2, total - total // 2) for total in totals]


class ConvUnit(nn.Module):
    """Convolution with "SAME" padding and without bias, then batch normalisation and ReLU.

    Args:
        dims: 2 for images, 3 for clips.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel.
        stride: Step of the kernel.
        batchnorm_momentum: Share of each new batch in the running statistics.
    """

    def __init__(
        self,
        dims: Dims,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        batchnorm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        conv, batchnorm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv = conv(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = batchnorm(out_channels, eps=BATCHNORM_EPS, momentum=batchnorm_momentum)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *smaller"]:
        padding = same_padding(x.shape[2:], self.conv.kernel_size, self.conv.stride)
        inside = [before for before, _ in padding]
        # The convolution itself pads evenly only.
        if any(before != after for before, after in padding) or breaks_bf16(x, self.conv.kernel_size[0]):
            x = F.pad(x, [n for pair in reversed(padding) for n in pair])
            inside = [0] * len(padding)
        convolve = F.conv2d if len(padding) == 2 else F.conv3d
        x = convolve(x, self.conv.weight, None, self.conv.stride, inside)
        return F.relu(self.bn(x), inplace=True)


class PaddingConv3d(nn.Conv3d):
    """A 3-D convolution of another library, which pads time first where the gradient would be wrong."""

    @classmethod
    def of(cls, other: nn.Conv3d) -> PaddingConv3d:
        """Make the same convolution, with the same parameters.

        Raises:
            TypeError: Its padding is a word, or not of zeros, or it computes something else.
        """
        if isinstance(other.padding, str) or other.padding_mode != "zeros":
            raise TypeError(
                f"expected padding by numbers of zeros, got {other.padding}, {other.padding_mode}"
            )
        computes = ("forward", "_conv_forward")
        if any(getattr(type(other), name) is not getattr(nn.Conv3d, name) for name in computes):
            raise TypeError(f"expected what computes as PyTorch's does, got {type(other).__name__}")
        shape = (other.in_channels, other.out_channels, other.kernel_size, other.stride, other.padding)
        with torch.device("meta"):
            made = cls(*shape, other.dilation, other.groups, bias=other.bias is not None)  # type: ignore[arg-type]
        made.weight, made.bias = other.weight, other.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        frames, *sides = (int(n) for n in self.padding)
        if frames and breaks_bf16(x, self.kernel_size[0]):
            x = F.pad(x, (0, 0, 0, 0, frames, frames))
            return F.conv3d(x, self.weight, self.bias, self.stride, (0, *sides), self.dilation, self.groups)
        return super().forward(x)


def breaks_bf16(x: Tensor, frames: int) -> bool:
    """Tell whether oneDNN's bf16 gradient of a convolution's weights reads memory that nothing has written.

    Seen on AVX512-bf16 CPUs with PyTorch 2.15 where a convolution pads and its kernel covers more `frames`
    than the clip has, which has two at least: as in the last blocks of a 16-frame clip. Now and then a
    gradient is huge or NaN.
    """
    return (
        torch.is_grad_enabled()
        and x.is_cpu
        and torch.is_autocast_enabled("cpu")
        and x.ndim == 5
        and 1 < x.shape[2] < frames
    )


class MaxPool(nn.Module):
    """Max pooling with "SAME" padding, for odd kernels or strides above 1.

    Args:
        kernel: Length of the window in each dimension.
        stride: Step of the window in each dimension.
    """

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *smaller"]:
        # Only the padding before is given: `ceil_mode` lets the last window run over the far edge,
        # which is the padding after, without a padded copy.
        before = [n for n, _ in same_padding(x.shape[2:], self.kernel, self.stride)]
        pool = F.max_pool2d if len(before) == 2 else F.max_pool3d
        # CPU autocast would pool in float32: the same result in more time.
        with torch.autocast("cpu", enabled=False):
            return pool(x, self.kernel, self.stride, before, ceil_mode=True)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"
