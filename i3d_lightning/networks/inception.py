"""Inception-v1 with batch normalisation, written once and built for images (2-D) or clips (3-D).

Szegedy et al., "Going deeper with convolutions", https://arxiv.org/abs/1409.4842, Table 1, with the
changes of its public TensorFlow version: batch normalisation, and 3x3 in place of 5x5 kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .activation_checkpointing import checkpointed
from .inflation import inflate
from .layers import ConvUnit, Dims, MaxPool
from .pieces import in_pieces

Widths = tuple[int, int, int, int, int, int]

ENDPOINTS = (
    "Conv{}d_1a_7x7",
    "MaxPool{}d_2a_3x3",
    "Conv{}d_2b_1x1",
    "Conv{}d_2c_3x3",
    "MaxPool{}d_3a_3x3",
    "Mixed_3b",
    "Mixed_3c",
    "MaxPool{}d_4a_3x3",
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    "MaxPool{}d_5a_2x2",
    "Mixed_5b",
    "Mixed_5c",
)
FEATURE_SIZE = 1024  # channels of Mixed_5c

PIECE = 128  # frames of a long clip that the first stages see at once
_STEM = 5  # stages, up to the second pool
_STEM_REACH_AND_STRIDE = {False: (5, 2), True: (13, 8)}  # frames; True: with early temporal stride

SMALLEST_SIDE = 32  # px: five halvings leave one position
SMALLEST_TIME = 9  # frames: three halvings leave the two time steps that I3D's average pool takes
SMALLEST_TIME_EARLY_STRIDE = 33  # frames: likewise after five


def endpoint_names(dims: Dims) -> tuple[str, ...]:
    """The published names of the stages, from input to output."""
    return tuple(name.format(dims) for name in ENDPOINTS)


class InceptionBlock(nn.Module):
    """Four branches over the same input, concatenated.

    Args:
        dims: 2 for images, 3 for clips.
        in_channels: Channels of the input.
        widths: Channels of the convolutions: 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 after the pool.
        batchnorm_momentum: Share of each new batch in the running statistics.
    """

    def __init__(self, dims: Dims, in_channels: int, widths: Widths, batchnorm_momentum: float) -> None:
        super().__init__()
        unit = partial(ConvUnit, dims, batchnorm_momentum=batchnorm_momentum)
        single, narrow1, wide1, narrow2, wide2, pooled = widths
        self.branch0 = unit(in_channels, single, 1)
        self.branch1 = nn.Sequential(unit(in_channels, narrow1, 1), unit(narrow1, wide1, 3))
        self.branch2 = nn.Sequential(unit(in_channels, narrow2, 1), unit(narrow2, wide2, 3))
        self.branch3 = nn.Sequential(MaxPool((3,) * dims, (1,) * dims), unit(in_channels, pooled, 1))

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *grid"]:
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], dim=1)


class Inception(nn.Sequential):
    """Inception-v1 up to an endpoint; its children are the stages, by their published names.

    In 3-D the first two max pools keep every time step (arXiv 1705.07750, section 2.4).

    Args:
        dims: 2 for images, 3 for clips.
        channels: Channels of the input.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
        final_endpoint: Last stage, one of `endpoint_names(dims)`.
        early_temporal_stride: Let the first two max pools halve time too, as they halve height and
            width: the symmetric pacing that the paper argues against.

    Attributes:
        activation_checkpointing: In training, compute a stage's activations again for the gradients
            instead of keeping them.

    Raises:
        ValueError: There is no such endpoint.
    """

    def __init__(
        self,
        dims: Dims,
        channels: int = 3,
        batchnorm_momentum: float = 0.1,
        final_endpoint: str = "Mixed_5c",
        early_temporal_stride: bool = False,
    ) -> None:
        super().__init__()
        require_known([final_endpoint], endpoint_names(dims))
        self.dims = dims
        self.channels = channels
        self.early_temporal_stride = early_temporal_stride
        self.activation_checkpointing = False
        self.smallest: tuple[int, ...] = (SMALLEST_SIDE, SMALLEST_SIDE)
        if dims == 3:
            frames = SMALLEST_TIME_EARLY_STRIDE if early_temporal_stride else SMALLEST_TIME
            self.smallest = (frames, *self.smallest)
        for name, stage in _stages(dims, channels, batchnorm_momentum, early_temporal_stride):
            self.add_module(name, stage)
            if name == final_endpoint:
                break

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *smaller"]:
        """The final endpoint's activation.

        Without gradients and batch statistics, the first stages see a long clip in pieces: they hold most
        of the memory, and look only a few frames ahead.

        Args:
            x: Images `b c h w` or clips `b c t h w`, in [-1, 1], at least 32 px and, for clips, 9 frames
                (33 with early temporal stride).

        Raises:
            ValueError: The input has another type, rank or number of channels, or is too small.
        """
        self._check(x)
        stages = list(self.children())
        if self._is_long(x):
            stem, stages = nn.Sequential(*stages[:_STEM]), stages[_STEM:]
            x = in_pieces(stem, x, PIECE, *_STEM_REACH_AND_STRIDE[self.early_temporal_stride])
        keep_less = self.activation_checkpointing and self.training
        for stage in stages:
            x = checkpointed(stage, x) if keep_less else stage(x)
        return x

    def _is_long(self, x: Tensor) -> bool:
        frozen = not (self.training or torch.is_grad_enabled())
        return frozen and self.dims == 3 and x.shape[2] > PIECE and len(self) >= _STEM

    def endpoints(self, x: Float[Tensor, "b c *grid"], names: Iterable[str]) -> dict[str, Tensor]:
        """Activations `b c *grid` of the stages named, computing no stage after the last of them.

        Raises:
            ValueError: A name is not that of a stage built, or the input is one that `forward` refuses.
        """
        self._check(x)
        wanted = set(names)
        require_known(wanted, [name for name, _ in self.named_children()])
        found: dict[str, Tensor] = {}
        for name, stage in self.named_children():
            if len(found) == len(wanted):
                break
            x = stage(x)
            if name in wanted:
                found[name] = x
        return found

    def _check(self, x: Tensor) -> None:
        layout = "b c h w" if self.dims == 2 else "b c t h w"
        expected = f"floats '{layout}' with c = {self.channels}"
        if x.ndim != self.dims + 2 or x.shape[1] != self.channels or not x.is_floating_point():
            raise ValueError(f"expected {expected}, got {x.dtype} of shape {tuple(x.shape)}")
        if any(n < least for n, least in zip(x.shape[2:], self.smallest, strict=True)):
            least = " ".join(f"{n} >= {m}" for n, m in zip(layout.split()[2:], self.smallest, strict=True))
            raise ValueError(f"expected {expected} and {least}, got shape {tuple(x.shape)}")


def start_from_images(network: nn.Module, images: Mapping[str, Tensor], first_layer: str) -> None:
    """Start every Inception-v1 in a network from the image network's, inflated where it is 3-D.

    Args:
        network: The network; what it has beside Inception-v1 stays as it is.
        images: State of the image network, `networks.convnet.ConvNet`.
        first_layer: How layers that take flow are adapted, see `networks.inflation`.

    Raises:
        ValueError: It is no 2-D Inception-v1's.
    """
    prefix = "inception."
    state = {name.removeprefix(prefix): t for name, t in images.items() if name.startswith(prefix)}
    for part in network.modules():
        if isinstance(part, Inception):
            part.load_state_dict(inflate(state, part.state_dict(), first_layer))


def _stages(
    dims: Dims, channels: int, batchnorm_momentum: float, early_temporal_stride: bool
) -> Iterator[tuple[str, nn.Module]]:
    """The stages one by one, so that none is built after the last one wanted."""
    unit = partial(ConvUnit, dims, batchnorm_momentum=batchnorm_momentum)
    block = partial(InceptionBlock, dims, batchnorm_momentum=batchnorm_momentum)
    early_kernel, early_stride = (3,) * dims, (2,) * dims
    if dims == 3 and not early_temporal_stride:
        early_kernel, early_stride = (1, 3, 3), (1, 2, 2)

    yield f"Conv{dims}d_1a_7x7", unit(channels, 64, 7, stride=2)
    yield f"MaxPool{dims}d_2a_3x3", MaxPool(early_kernel, early_stride)
    yield f"Conv{dims}d_2b_1x1", unit(64, 64, 1)
    yield f"Conv{dims}d_2c_3x3", unit(64, 192, 3)
    yield f"MaxPool{dims}d_3a_3x3", MaxPool(early_kernel, early_stride)
    yield "Mixed_3b", block(192, (64, 96, 128, 16, 32, 32))
    yield "Mixed_3c", block(256, (128, 128, 192, 32, 96, 64))
    yield f"MaxPool{dims}d_4a_3x3", MaxPool((3,) * dims, (2,) * dims)
    yield "Mixed_4b", block(480, (192, 96, 208, 16, 48, 64))
    yield "Mixed_4c", block(512, (160, 112, 224, 24, 64, 64))
    yield "Mixed_4d", block(512, (128, 128, 256, 24, 64, 64))
    yield "Mixed_4e", block(512, (112, 144, 288, 32, 64, 64))
    yield "Mixed_4f", block(528, (256, 160, 320, 32, 128, 128))
    yield f"MaxPool{dims}d_5a_2x2", MaxPool((2,) * dims, (2,) * dims)
    yield "Mixed_5b", block(832, (256, 160, 320, 32, 128, 128))
    yield "Mixed_5c", block(832, (384, 192, 384, 48, 128, 128))


def require_known(names: Iterable[str], known: Sequence[str]) -> None:
    """Raise a ValueError for the first name that is not known."""
    for name in names:
        if name not in known:
            raise ValueError(f"no endpoint '{name}'; expected one of {', '.join(known)}")
