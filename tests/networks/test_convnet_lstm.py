from __future__ import annotations

import torch
from torch.nn import functional as F

from i3d_lightning.networks.convnet_lstm import BatchNormLSTM, ConvNetLSTM, StepBatchNorm


def test_statistics_are_each_steps_own_up_to_the_last():
    norm = StepBatchNorm(3, steps=2, momentum=1.0)
    for step in range(3):
        norm(torch.randn(64, 3) + 10 * step, step)
    assert torch.allclose(norm.running_mean[0], torch.zeros(3), atol=0.6)
    assert torch.allclose(norm.running_mean[1], torch.full((3,), 20.0), atol=0.6)  # the third step's
    norm.eval()
    torch.testing.assert_close(norm(torch.ones(1, 3), 5), norm(torch.ones(1, 3), 1))


def test_an_lstm_without_normalisation_is_torchs():
    """With statistics of mean 0, variance 1 and gains of 1, what is left is the textbook's LSTM."""
    torch.manual_seed(0)
    ours = BatchNormLSTM(6, 4, steps=5, momentum=0.1).eval()
    for norm in (ours.normalise_input, ours.normalise_state, ours.normalise_cell):
        norm.weight.data.fill_((1 + 1e-3) ** 0.5)
    theirs = torch.nn.LSTM(6, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "weight_ih_l0": regrouped(ours.from_input.weight),
            "weight_hh_l0": regrouped(ours.from_state.weight),
            "bias_ih_l0": regrouped(ours.bias),
            "bias_hh_l0": torch.zeros(16),
        }
    )
    x = torch.randn(2, 6, 5)
    expected, _ = theirs(x.transpose(1, 2))
    torch.testing.assert_close(ours(x), expected.transpose(1, 2), atol=1e-5, rtol=1e-4)


def regrouped(parameter):
    """Gates as torch orders them: enter, forget, new, leave."""
    enter, forget, leave, new = parameter.detach().chunk(4)
    return torch.cat([enter, forget, new, leave])


def test_the_last_step_decides_and_later_frames_do_not_change_earlier_steps():
    torch.manual_seed(0)
    network = ConvNetLSTM(3, steps=4).eval()
    clip = torch.randn(1, 3, 6, 32, 32)
    changed = clip.clone()
    changed[:, :, 5] = 0
    with torch.no_grad():
        one, other = network(clip), network(changed)
    torch.testing.assert_close(one[:, :, :5], other[:, :, :5])
    assert not torch.equal(network.pool_time(one), network.pool_time(other))
    assert torch.equal(network.pool_time(one), one[:, :, -1])


def test_each_step_has_a_loss_of_its_own():
    assert ConvNetLSTM.supervised_at_every_step
    logits, label = torch.randn(2, 3, 4), torch.tensor([0, 2])
    each = torch.stack([F.cross_entropy(logits[:, :, t], label) for t in range(4)]).mean()
    torch.testing.assert_close(F.cross_entropy(logits, label[:, None].expand(-1, 4)), each)
