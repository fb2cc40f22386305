from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import googlenet

from i3d_lightning.networks.inception import Inception
from i3d_lightning.networks.inflation import inflate
from i3d_lightning.networks.receptive_field import receptive_fields
from i3d_lightning.weights.googlenet import convert


@pytest.fixture(scope="module")
def images() -> Inception:
    """A 2-D network whose normalisation is not trivial."""
    torch.manual_seed(0)
    network = Inception(2)
    network(torch.randn(8, 3, 64, 64))
    for name, parameter in network.named_parameters():
        if "bn" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval()


def inflated(images: Inception, channels: int = 3, first_layer: str = "mean", **kwargs: bool) -> Inception:
    network = Inception(3, channels, **kwargs)
    network.load_state_dict(inflate(images.state_dict(), network.state_dict(), first_layer))
    return network.eval()


def test_a_boring_video_gives_the_frames_response(images):
    """Section 2.4 of the paper; padding shows for as long as the receptive field reaches over the ends."""
    clips = inflated(images)
    frame = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        still = images.endpoints(frame, ["Mixed_3c", "Mixed_5c"])
        video = clips.endpoints(frame[:, :, None].expand(-1, -1, 128, -1, -1), ["Mixed_3c", "Mixed_5c"])
    fields = {field.endpoint: field for field in receptive_fields(clips)}
    for name, expected in still.items():
        field = fields[name]
        edge = -(-(field.frames // 2) // field.frame_stride)
        response = video[name][0].transpose(0, 1)
        inside = response[edge : len(response) - edge]
        assert len(inside) > 0
        scale = expected.abs().max()
        torch.testing.assert_close(inside, expected.expand_as(inside), atol=1e-4 * scale, rtol=1e-4)
        assert (response[0] - expected[0]).abs().max() > 0.02 * scale  # padded time takes some of it away


def test_receptive_fields():
    """In frames and pixels, with and without time kept by the first pools (Figure 3 of the paper)."""
    fields = {f.endpoint: (f.frames, f.pixels) for f in receptive_fields(Inception(3))}
    assert fields["Conv3d_1a_7x7"] == (7, 7)
    assert fields["MaxPool3d_2a_3x3"] == (7, 11)
    assert fields["MaxPool3d_3a_3x3"] == (11, 27)
    assert fields["Mixed_3c"] == (19, 59)
    assert fields["Mixed_4f"] == (63, 235)
    assert fields["MaxPool3d_4a_3x3"] == (23, 75)
    assert fields["Mixed_5c"] == (99, 379)
    early = receptive_fields(Inception(3, early_temporal_stride=True))
    assert all((f.frames, f.frame_stride) == (f.pixels, f.pixel_stride) for f in early)
    assert {f.frames for f in receptive_fields(Inception(2))} == {1}


@pytest.mark.parametrize("early", [False, True])
def test_the_receptive_field_is_how_far_a_change_is_seen(early):
    network = Inception(3, final_endpoint="Mixed_3b", early_temporal_stride=early).eval()
    field = receptive_fields(network)[-1]
    clip = torch.zeros(1, 3, 64, 96, 96)
    changed = clip.clone()
    changed[:, :, 32, 48, 48] = 5.0
    with torch.no_grad():
        differs = (network(clip) != network(changed))[0].any(0)  # t h w
    frames, rows = differs.any(2).any(1).sum(), differs.any(2).any(0).sum()
    assert 1 < frames <= -(-field.frames // field.frame_stride)
    assert 1 < rows <= -(-field.pixels // field.pixel_stride)


def test_flow_layers_answer_equal_channels_as_before(images):
    flow = inflated(images, channels=2)
    same = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = images.endpoints(same.expand(-1, 3, -1, -1), ["Conv2d_1a_7x7"])["Conv2d_1a_7x7"]
        clip = same[:, :, None].expand(-1, 2, 16, -1, -1)
        response = flow.endpoints(clip, ["Conv3d_1a_7x7"])["Conv3d_1a_7x7"]
    torch.testing.assert_close(response[:, :, 4], expected, atol=1e-4, rtol=1e-4)


def test_the_first_layer_can_stay_new(images):
    network = Inception(3, 2)
    state = inflate(images.state_dict(), network.state_dict(), "new")
    assert torch.equal(state["Conv3d_1a_7x7.conv.weight"], network.state_dict()["Conv3d_1a_7x7.conv.weight"])
    second = state["Conv3d_2b_1x1.conv.weight"]
    assert torch.equal(second[:, :, 0], images.state_dict()["Conv2d_2b_1x1.conv.weight"])
    rgb = Inception(3, 3)
    same = inflate(images.state_dict(), rgb.state_dict(), "new")["Conv3d_1a_7x7.conv.weight"]
    torch.testing.assert_close(same.sum(2), images.state_dict()["Conv2d_1a_7x7.conv.weight"])


def test_stacked_flow_is_adapted_in_2d(images):
    network = Inception(2, 20)
    weight = inflate(images.state_dict(), network.state_dict())["Conv2d_1a_7x7.conv.weight"]
    torch.testing.assert_close(weight.sum(1), images.state_dict()["Conv2d_1a_7x7.conv.weight"].sum(1))


def test_what_does_not_inflate_is_named(images):
    state = images.state_dict()
    del state["Mixed_4b.branch0.conv.weight"]
    with pytest.raises(ValueError, match=r"Mixed_4b\.branch0\.conv\.weight is missing"):
        inflate(state, Inception(3).state_dict())


def test_torchvisions_googlenet_is_ours_but_for_its_first_padding():
    """Tensor by tensor, and in its response once its first layer pads as TensorFlow does."""
    torch.manual_seed(0)
    theirs = googlenet(weights=None, init_weights=False, aux_logits=True).eval()
    for buffer in theirs.buffers():
        if buffer.ndim:
            buffer.uniform_(0.5, 1.5)
    state = {n.removeprefix("inception."): t for n, t in convert(theirs.state_dict()).items() if "incep" in n}
    ours = Inception(2).eval()
    ours.load_state_dict(state)  # strict: each tensor has its place and shape

    theirs.conv1.conv.padding = (0, 0)
    theirs.conv1.register_forward_pre_hook(lambda module, args: (F.pad(args[0], (2, 3, 2, 3)),))
    theirs.fc = torch.nn.Identity()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = theirs(image)
        features = ours(image).mean((2, 3))
    torch.testing.assert_close(features, expected, atol=1e-5 * expected.abs().max(), rtol=1e-4)

    clips = Inception(3)
    for name, tensor in inflate(state, clips.state_dict()).items():
        if tensor.ndim == 5:
            flat = state[name.replace("3d_", "2d_")]
            torch.testing.assert_close(tensor.sum(2), flat)
            assert torch.equal(tensor[:, :, :1].expand_as(tensor), tensor)
