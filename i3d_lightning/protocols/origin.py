"""Origin: train on the target only, from random or ImageNet weights.

The "Original" columns of Table 4 and all of Table 2 (https://arxiv.org/abs/1705.07750, section 5).
Training on Kinetics or ImageNet, which is what the others start from, is the same thing on another data set.
"""

from __future__ import annotations

from i3d_lightning.protocols.base import Job, Outcome, Protocol, register, start_network, train_and_test


def origin(job: Job) -> Outcome:
    """Train the whole network on the target."""
    return train_and_test(job, start_network(job))


register(
    Protocol(
        "origin",
        origin,
        order=0,
        from_video=False,
        reason="origin never sees Kinetics",
        pretrains=True,
        version=2,
    )
)
