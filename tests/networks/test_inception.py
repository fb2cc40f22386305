"""Inception-v1 in 2-D and 3-D: names, shapes and how far it is built."""

from __future__ import annotations

import math

import pytest
import torch

from i3d_lightning.networks.inception import Inception, endpoint_names

# Channels, and by how much time and space have shrunk (arXiv 1705.07750, Figure 3).
EXPECTED = {
    "Conv{}d_1a_7x7": (64, 2, 2),
    "MaxPool{}d_2a_3x3": (64, 2, 4),
    "Conv{}d_2b_1x1": (64, 2, 4),
    "Conv{}d_2c_3x3": (192, 2, 4),
    "MaxPool{}d_3a_3x3": (192, 2, 8),
    "Mixed_3b": (256, 2, 8),
    "Mixed_3c": (480, 2, 8),
    "MaxPool{}d_4a_3x3": (480, 4, 16),
    "Mixed_4b": (512, 4, 16),
    "Mixed_4c": (512, 4, 16),
    "Mixed_4d": (512, 4, 16),
    "Mixed_4e": (528, 4, 16),
    "Mixed_4f": (832, 4, 16),
    "MaxPool{}d_5a_2x2": (832, 8, 32),
    "Mixed_5b": (832, 8, 32),
    "Mixed_5c": (1024, 8, 32),
}


def expected(dims: int) -> dict[str, tuple[int, int, int]]:
    return {name.format(dims): shape for name, shape in EXPECTED.items()}


@pytest.fixture(scope="module", params=[2, 3])
def inception(request) -> Inception:
    return Inception(request.param, channels=2).eval()


def test_stages_bear_the_published_names_in_order(inception):
    names = list(expected(inception.dims))
    assert [name for name, _ in inception.named_children()] == names
    assert list(endpoint_names(inception.dims)) == names


@pytest.mark.parametrize(("frames", "height", "width"), [(18, 50, 71), (9, 32, 32)])
def test_endpoints_have_the_published_shapes(inception, frames, height, width):
    time = (frames,) if inception.dims == 3 else ()
    with torch.no_grad():
        found = inception.endpoints(torch.randn(2, 2, *time, height, width), expected(inception.dims))
    for name, (channels, t, s) in expected(inception.dims).items():
        grid = (*(math.ceil(n / t) for n in time), math.ceil(height / s), math.ceil(width / s))
        assert found[name].shape == (2, channels, *grid), name


def test_endpoints_are_what_the_stages_compute_one_after_the_other(inception):
    x = torch.randn(1, 2, *inception.smallest)
    stages = inception.named_children()
    with torch.no_grad():
        found = inception.endpoints(x, ["Mixed_4b", "Mixed_3c"])
        by_hand = {name: (x := stage(x)) for name, stage in stages}
    assert list(found) == ["Mixed_3c", "Mixed_4b"]
    for name, activation in found.items():
        torch.testing.assert_close(activation, by_hand[name])


@pytest.mark.parametrize("last", list(EXPECTED))
def test_is_built_up_to_the_final_endpoint_and_no_further(last):
    network = Inception(3, final_endpoint=last.format(3)).eval()
    names = list(expected(3))
    assert [name for name, _ in network.named_children()] == names[: names.index(last.format(3)) + 1]
    with torch.no_grad():
        assert network(torch.randn(1, 3, 9, 32, 32)).shape[1] == EXPECTED[last][0]


def test_early_temporal_stride_halves_time_five_times():
    network = Inception(3, early_temporal_stride=True).eval()
    names = ["MaxPool3d_2a_3x3", "MaxPool3d_3a_3x3", "Mixed_5c"]
    with torch.no_grad():
        found = network.endpoints(torch.randn(1, 3, 33, 32, 32), names)
    assert [found[name].shape[2] for name in names] == [9, 5, 2]


def test_strided_convolutions_are_never_one_wide(inception):
    """There, with AMX, oneDNN's bf16 convolution is wrong (pytorch issue 169688)."""
    with torch.no_grad():
        found = inception.endpoints(torch.randn(1, 2, *inception.smallest), expected(inception.dims))
    for name, stage in inception.named_children():
        convolutions = [m for m in stage.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Conv3d))]
        if any(max(convolution.stride) > 1 for convolution in convolutions):
            assert min(found[name].shape[2:]) > 1


def test_unknown_endpoints_are_refused():
    with pytest.raises(ValueError, match="no endpoint 'Mixed_6a'; expected one of Conv2d_1a_7x7, "):
        Inception(2, final_endpoint="Mixed_6a")
    short = Inception(2, final_endpoint="Conv2d_2b_1x1")
    with pytest.raises(ValueError, match="no endpoint 'Mixed_3b'"):
        short.endpoints(torch.randn(1, 3, 32, 32), ["Mixed_3b"])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 2, 9, 32, 32, 1),
            r"expected floats 'b c t h w' with c = 2, got torch.float32 of shape \(1, 2",
        ),
        ((1, 3, 9, 32, 32), r"with c = 2, got .*\(1, 3, 9, 32, 32\)"),
        ((1, 2, 8, 32, 32), r"t >= 9 h >= 32 w >= 32, got shape \(1, 2, 8, 32, 32\)"),
        ((1, 2, 9, 31, 32), r"h >= 32 w >= 32, got shape \(1, 2, 9, 31, 32\)"),
        ((1, 2, 9, 32, 31), r"h >= 32 w >= 32, got shape \(1, 2, 9, 32, 31\)"),
    ],
)
def test_unfit_input_is_refused(shape, message):
    network = Inception(3, channels=2, final_endpoint="Conv3d_1a_7x7")
    for call in (network, lambda x: network.endpoints(x, ["Conv3d_1a_7x7"])):
        with pytest.raises(ValueError, match=message):
            call(torch.randn(shape))


def test_early_temporal_stride_needs_more_frames():
    network = Inception(3, final_endpoint="Conv3d_1a_7x7", early_temporal_stride=True)
    with pytest.raises(ValueError, match="t >= 33"):
        network(torch.randn(1, 3, 32, 32, 32))
