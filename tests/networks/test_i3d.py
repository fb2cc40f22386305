"""I3D's head, and what holds for the whole network; its numbers are in test_parity.py."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from i3d_lightning.networks.i3d import ENDPOINTS, I3D, average_pool


@pytest.fixture(scope="module")
def network() -> I3D:
    torch.manual_seed(0)
    return I3D(5).eval()


def test_parameters_at_400_classes():
    """Inception-v1's 12.3 M in 3-D with a classifier of 0.4 M: half of the paper's 25 M for two streams."""
    network = I3D(400)
    count = sum(p.numel() for p in network.parameters())
    batchnorm = sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.BatchNorm3d))
    assert batchnorm == 7_280
    assert count == 12_697_264
    assert sum(p.numel() for p in I3D(400, channels=2).parameters()) == count - 64 * 7**3


def test_forward_is_head_of_features(network):
    clip = torch.randn(2, 3, 17, 33, 40)
    with torch.no_grad():
        features = network.forward_features(clip)
        logits = network(clip)
    assert features.shape == (2, network.feature_size, 2)
    assert logits.shape == (2, 5, 2)
    torch.testing.assert_close(network.forward_head(features), logits)


def test_head_is_linear_at_each_time_step(network):
    features = torch.randn(2, 1024, 3)
    weight, bias = network.classifier.weight, network.classifier.bias
    expected = torch.stack([features[:, :, s] @ weight.T + bias for s in range(3)], dim=2)
    torch.testing.assert_close(network.forward_head(features), expected)


@pytest.mark.parametrize(("frames", "steps"), [(9, 1), (16, 1), (17, 2), (64, 7)])
def test_smallest_frames_and_time_steps(network, frames, steps):
    with torch.no_grad():
        assert network(torch.randn(1, 3, frames, 32, 32)).shape == (1, 5, steps)


@pytest.mark.parametrize("grid", [(2, 1, 1), (3, 4, 6), (4, 7, 7), (3, 8, 8), (2, 7, 11)])
def test_average_pool(grid):
    x = torch.randn(2, 3, *grid, dtype=torch.float64)
    t, h, w = grid
    expected = torch.zeros(2, 3, t - 1, dtype=torch.float64)
    tops, lefts = range(max(h - 7, 0) + 1), range(max(w - 7, 0) + 1)
    for s in range(t - 1):
        windows = [x[:, :, s : s + 2, i : i + 7, j : j + 7].mean((2, 3, 4)) for i in tops for j in lefts]
        expected[:, :, s] = sum(windows) / len(windows)
    torch.testing.assert_close(average_pool(x), expected)


@pytest.mark.parametrize("grid", [(2, 1, 1), (3, 4, 6), (4, 7, 7), (3, 8, 8), (2, 7, 11), (32, 7, 7)])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_shares_are_those_of_the_average_pool(network, grid, mode):
    x = torch.randn(1, 3, *grid)
    with mode():
        shares = network.grid_shares(*grid)
        torch.testing.assert_close((x * shares).sum((2, 3, 4)), average_pool(x).mean(2), atol=1e-6, rtol=1e-5)
    if grid == (4, 7, 7):  # by hand: three windows of two steps, the outer steps in one of them each
        expected = torch.tensor([1, 2, 2, 1]) / 6 / 49
        torch.testing.assert_close(shares, expected[:, None, None].expand(4, 7, 7))


def test_endpoints_include_the_logits(network):
    clip = torch.randn(1, 3, 17, 40, 40)
    with torch.no_grad():
        found = network.endpoints(clip, ["Logits", "Mixed_3b"])
        assert list(found) == ["Mixed_3b", "Logits"]
        assert found["Mixed_3b"].shape == (1, 256, 9, 5, 5)
        torch.testing.assert_close(found["Logits"], network(clip))
        assert list(network.endpoints(clip, ENDPOINTS)) == list(ENDPOINTS)


def test_an_earlier_final_endpoint_is_what_forward_gives():
    torch.manual_seed(1)
    short = I3D(5, final_endpoint="Mixed_4b").eval()
    clip = torch.randn(1, 3, 9, 32, 32)
    with torch.no_grad():
        activation = short(clip)
        assert activation.shape == (1, 512, 3, 2, 2)
        torch.testing.assert_close(activation, short.endpoints(clip, ["Mixed_4b"])["Mixed_4b"])
    with pytest.raises(ValueError, match=r"no endpoint 'Logits'"):
        short.endpoints(clip, ["Logits"])


def test_unknown_endpoints_are_refused(network):
    with pytest.raises(ValueError, match=r"no endpoint 'Predictions'; expected one of .*Logits"):
        I3D(5, final_endpoint="Predictions")
    with pytest.raises(ValueError, match=r"no endpoint 'Mixed_6a'"):
        network.endpoints(torch.randn(1, 3, 9, 32, 32), ["Mixed_6a", "Logits"])


def test_reset_classifier_changes_nothing_else():
    network = I3D(5, final_endpoint="Logits").double()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    network.reset_classifier(7)
    after = network.state_dict()
    assert after["classifier.weight"].shape == (7, 1024)
    assert after["classifier.bias"].dtype == torch.float64
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if "classifier" not in name)


def test_dropout_is_the_probability_to_drop():
    network = I3D(3, dropout=0.9).train()
    with torch.no_grad():
        network.classifier.weight.fill_(1 / 1024)
        logits = network.forward_head(torch.ones(1, 1024, 400))
        # Each logit is 10 times the share kept of 1024 features, which is binomial around 0.1.
        assert logits.mean() == pytest.approx(1, abs=0.05)
        assert logits.std() == pytest.approx(10 * (0.1 * 0.9 / 1024) ** 0.5, rel=0.2)
        assert torch.equal(network.eval().forward_head(torch.ones(1, 1024, 1)), torch.ones(1, 3, 1))


def test_every_parameter_is_trained_and_every_statistic_is_updated():
    torch.manual_seed(0)
    network = I3D(3, dropout=0.0).train()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    F.cross_entropy(network(torch.randn(4, 3, 9, 32, 32)).mean(2), torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    for name, buffer in network.named_buffers():
        assert not torch.equal(buffer, before[name]), name


def test_batchnorm_settings_reach_every_layer():
    layers = [m for m in I3D(3, batchnorm_momentum=0.3).modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert len(layers) == 57
    assert {(m.eps, m.momentum) for m in layers} == {(1e-3, 0.3)}


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (torch.zeros(3, 9, 32, 32), r"expected floats 'b c t h w' with c = 3, got .*\(3, 9, 32, 32\)"),
        (torch.zeros(1, 2, 9, 32, 32), r"with c = 3, got .*\(1, 2, 9, 32, 32\)"),
        (torch.zeros(1, 3, 9, 32, 32, dtype=torch.uint8), "expected floats .*, got torch.uint8"),
        (torch.zeros(1, 3, 8, 32, 32), r"t >= 9 h >= 32 w >= 32, got shape \(1, 3, 8, 32, 32\)"),
    ],
)
def test_unfit_clips_are_refused_as_users_see_it(network, clip, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # only tests check shapes otherwise
    for call in (network, network.forward_features, lambda x: network.endpoints(x, ["Logits"])):
        with pytest.raises(ValueError, match=message):
            call(clip)
