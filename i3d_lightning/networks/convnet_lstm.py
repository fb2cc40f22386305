"""ConvNet+LSTM: Inception-v1 on each frame, a recurrent layer over them.

Carreira and Zisserman, https://arxiv.org/abs/1705.07750, section 2.1 and Figure 2a. The recurrent
batch normalisation is that of Cooijmans et al., https://arxiv.org/abs/1603.09025.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i3d_lightning.recipe import Clips, Training

from .inception import FEATURE_SIZE, Inception, start_from_images
from .layers import BATCHNORM_EPS
from .network import VideoNetwork, each_frame, without_autocast
from .registry import Architecture, register

HIDDEN = 512  # units, section 2.1
STEPS = 25  # frames of a training clip, Table 1

DEVICE_BATCH = 16
"""Clips normalised together: at each time step the LSTM has one value of each. The paper does not say how
many; as many as of the 3D-ConvNet, whose fully connected layers are normalised alike."""


class ConvNetLSTM(VideoNetwork):
    """Inception-v1 per frame, an LSTM after its last average pool, a linear classifier at every step.

    The loss is on every step's output; a video's prediction is the last step's.

    Args:
        classes: Number of classes.
        dropout: Probability to drop a feature before the classifier.
        batchnorm_momentum: Share of each new batch in BatchNorm's running statistics.
        steps: Time steps with batch statistics of their own, those of a training clip.
    """

    feature_size = HIDDEN
    supervised_at_every_step = True

    def __init__(
        self, classes: int, dropout: float = 0.5, batchnorm_momentum: float = 0.1, steps: int = STEPS
    ) -> None:
        super().__init__(dropout)
        self.inception = Inception(2, 3, batchnorm_momentum)
        self.lstm = BatchNormLSTM(FEATURE_SIZE, HIDDEN, steps, batchnorm_momentum)
        self.reset_classifier(classes)

    def pool_time(self, x: Float[Tensor, "b n s"]) -> Float[Tensor, "b n"]:
        """The last step, which has seen every frame."""
        return x[:, :, -1]

    def forward_features(self, *clips: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b 512 t"]:
        """The LSTM's state after each frame."""
        (clip,) = clips
        seen = each_frame(self.inception, clip).float().mean((3, 4))
        with without_autocast(clip):  # a state that is fed back loses too much
            return self.lstm(seen)


class BatchNormLSTM(nn.Module):
    """An LSTM whose input and hidden parts are normalised apart, and its cell before the output.

    Statistics are kept for each of the first `steps` time steps; later ones share the last of them
    (Cooijmans et al., section 4). Gains begin at 0.1, as there.

    Args:
        inputs: Size of the input.
        hidden: Size of the state.
        steps: Time steps with statistics of their own.
        momentum: Share of each new batch in the running statistics.
    """

    def __init__(self, inputs: int, hidden: int, steps: int, momentum: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Linear(inputs, 4 * hidden, bias=False)
        self.from_state = nn.Linear(hidden, 4 * hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.normalise_input = StepBatchNorm(4 * hidden, steps, momentum, shift=False)
        self.normalise_state = StepBatchNorm(4 * hidden, steps, momentum, shift=False)
        self.normalise_cell = StepBatchNorm(hidden, steps, momentum)
        for gate in self.from_state.weight.data.split(hidden):
            nn.init.orthogonal_(gate)
        nn.init.xavier_uniform_(self.from_input.weight)
        nn.init.ones_(self.bias.data[hidden : 2 * hidden])  # the forget gate begins open

    def forward(self, x: Float[Tensor, "b f t"]) -> Float[Tensor, "b h t"]:
        state = x.new_zeros(len(x), self.hidden)
        cell = state
        states = []
        for t, seen in enumerate(self.from_input(x.transpose(1, 2)).unbind(1)):
            gates = self.normalise_input(seen, t) + self.bias
            if t:  # the first state is zero for every clip: there is nothing to normalise
                gates = gates + self.normalise_state(self.from_state(state), t)
            enter, forget, leave, new = gates.chunk(4, dim=1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * self.normalise_cell(cell, t).tanh()
            states.append(state)
        return torch.stack(states, dim=2)


class StepBatchNorm(nn.Module):
    """Batch normalisation with one gain and shift, and statistics for each time step.

    Args:
        features: Size of what is normalised.
        steps: Time steps with statistics of their own; later ones use the last.
        momentum: Share of each new batch in the running statistics.
        shift: Whether there is a shift.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, steps: int, momentum: float, shift: bool = True) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.full((features,), 0.1))
        self.bias = nn.Parameter(torch.zeros(features)) if shift else None
        self.register_buffer("running_mean", torch.zeros(steps, features))
        self.register_buffer("running_var", torch.ones(steps, features))

    def forward(self, x: Float[Tensor, "b f"], step: int) -> Float[Tensor, "b f"]:
        step = min(step, len(self.running_mean) - 1)
        return nn.functional.batch_norm(
            x,
            self.running_mean[step],
            self.running_var[step],
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            BATCHNORM_EPS,
        )


def _build(classes: int, stream: str, clips: Clips, training: Training) -> ConvNetLSTM:
    steps = clips.train_frames // clips.snapshot
    return ConvNetLSTM(classes, training.dropout, training.batchnorm_momentum, steps)


register(
    Architecture(
        "convnet-lstm",
        "ConvNet+LSTM",
        _build,
        Clips(train_frames=125, test_frames=250, snapshot=5),
        smallest=(1, 32),
        device_batch=DEVICE_BATCH,
        row="(a)",
        from_images=start_from_images,
    )
)
