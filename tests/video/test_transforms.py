from __future__ import annotations

import pytest
import torch

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import Clips
from i3d_lightning.video import transforms
from i3d_lightning.video.sampling import draw_generator


@pytest.fixture
def clip():
    """Every pixel tells its row (channel 0), column (1) and frame (2)."""
    rows, columns, frames = torch.meshgrid(torch.arange(30), torch.arange(40), torch.arange(5), indexing="ij")
    return torch.stack([rows, columns, frames]).permute(0, 3, 1, 2).to(torch.uint8)


def test_a_random_place_is_one_for_the_clip(clip):
    places = set()
    for draw in range(1000):
        place = transforms.random_place(clip.shape, 28, draw_generator(0, draw, "v"))
        cut = transforms.crop(clip, *place, 28)
        assert cut.shape == (3, 5, 28, 28)
        top, left = cut[0, 0, 0, 0].item(), cut[1, 0, 0, 0].item()
        assert torch.equal(cut, clip[:, :, top : top + 28, left : left + 28])
        places.add((top, left))
    assert places == {(top, left) for top in range(3) for left in range(13)}


def test_centre_crop(clip):
    cut = transforms.crop(clip, *transforms.centre_place(clip.shape, 20), 20)
    assert torch.equal(cut, clip[:, :, 5:25, 10:30])


@pytest.mark.parametrize(
    "place", [transforms.centre_place, lambda c, s: transforms.random_place(c, s, torch.Generator())]
)
def test_a_crop_larger_than_the_frames(clip, place):
    with pytest.raises(InputError, match=r"crop of 31 px does not fit into frames of 40x30 px"):
        place(clip.shape, 31)


def test_flip_mirrors_every_frame(clip):
    flipped = transforms.flip(clip)
    assert torch.equal(flipped[:, 3, 2, 0], clip[:, 3, 2, 39])
    assert torch.equal(transforms.flip(flipped), clip)


def test_flipping_flow_also_negates_x():
    """The flow of a mirrored video is the mirrored flow with x negated: here to the letter, in pixels."""
    random = torch.Generator().manual_seed(0)
    flow = 40 * torch.rand(3, 2, 8, 9, generator=random) - 20
    mirrored = flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    flipped = transforms.flip_flow(transforms.quantise_flow(flow, 20.0))
    assert torch.equal(flipped, transforms.quantise_flow(mirrored, 20.0))
    assert torch.equal(transforms.flip_flow(flipped), transforms.quantise_flow(flow, 20.0))


def test_flip_flow_leaves_its_input_alone(clip):
    flow = clip[:2].clone()
    transforms.flip_flow(flow)
    assert torch.equal(flow, clip[:2])


def test_jitter_is_the_same_for_all_frames():
    frame = torch.randint(
        0, 256, (3, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    still = frame.expand(3, 4, 16, 16)
    results = [transforms.photometric_jitter(still, 0.4, draw_generator(0, draw, "v")) for draw in range(5)]
    for result in results:
        assert result.dtype == torch.uint8
        assert torch.equal(result, result[:, :1].expand_as(result))
    assert len({result.sum().item() for result in results}) == 5
    assert torch.equal(results[2], transforms.photometric_jitter(still, 0.4, draw_generator(0, 2, "v")))


def test_jitter_of_no_strength_changes_nothing(clip):
    assert torch.equal(transforms.photometric_jitter(clip, 0.0, draw_generator(0, 0, "v")), clip)


def test_jitter_stays_within_its_strength():
    grey = torch.full((3, 1, 8, 8), 100, dtype=torch.uint8)  # contrast and saturation leave it as it is
    values = [
        transforms.photometric_jitter(grey, 0.3, draw_generator(0, draw, "v"))[0, 0, 0, 0].item()
        for draw in range(300)
    ]
    assert 69 <= min(values) < 75
    assert 125 < max(values) <= 131


def test_grey():
    rgb = torch.tensor([[255, 0, 0, 90], [0, 255, 0, 90], [0, 0, 255, 90]], dtype=torch.uint8).view(
        3, 2, 1, 2
    )
    assert transforms.grey(rgb).flatten().tolist() == [76, 150, 29, 90]


@pytest.mark.parametrize("channels", [2, 3])
def test_clips_are_normalised_to_minus_one_to_one_to_the_bit(channels):
    """As the published networks want RGB, and flow / bound."""
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 256, 1, 1).expand(2, channels, 256, 1, 1)
    expected = values.to(torch.float32, copy=True).div_(127.5).sub_(1)
    assert torch.equal(transforms.normalise(values, Clips()), expected)
    assert expected[0, 0, [0, 51, 255]].flatten().tolist() == pytest.approx([-1, -0.6, 1])


def test_rgb_has_the_mean_and_deviation_that_weights_ask_for():
    clips = Clips(mean=(0.4, 0.3, 0.2), std=(0.2, 0.25, 0.1))
    rgb = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    normal = transforms.normalise(rgb, clips)
    for c in range(3):
        expected = (rgb[:, c] / 255 - clips.mean[c]) / clips.std[c]
        torch.testing.assert_close(normal[:, c], expected, atol=2e-6, rtol=1e-6)
    flow = rgb[:, :2]
    assert torch.equal(transforms.normalise(flow, clips), transforms.normalise(flow, Clips()))


@pytest.mark.parametrize("bound", [4.0, 20.0])
def test_quantised_flow_comes_back_within_half_a_step(bound):
    flow = torch.linspace(-bound, bound, 3000).view(5, 2, 15, 20)
    quantised = transforms.quantise_flow(flow, bound)
    assert quantised.shape == (2, 5, 15, 20)
    back = transforms.normalise(quantised[None], Clips())[0].movedim(0, 1) * bound
    half_a_step = bound / 255
    assert (back - flow).abs().max() <= half_a_step * 1.001
    assert quantised.unique().numel() == 256


def test_flow_is_clipped_and_no_motion_nearly_zero():
    flow = torch.tensor([-35.0, 0.0, 35.0, 20.0]).view(1, 2, 1, 2)
    quantised = transforms.quantise_flow(flow, 20.0)
    assert quantised.flatten().tolist() == [0, 128, 255, 255]
    assert transforms.normalise(quantised[None], Clips()).flatten()[1].item() == pytest.approx(
        1 / 255, abs=1e-6
    )
