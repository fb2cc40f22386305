"""Full-FT: fine-tune everything from Kinetics weights, batch normalisation included.

The "Full-FT" columns of Tables 4 and 5 (https://arxiv.org/abs/1705.07750, section 5).
"""

from __future__ import annotations

from i3d_lightning.protocols.base import Job, Outcome, Protocol, register, start_network, train_and_test


def full_ft(job: Job) -> Outcome:
    """Train the whole network on the target."""
    return train_and_test(job, start_network(job))


register(
    Protocol(
        "full-ft",
        full_ft,
        order=2,
        from_video=True,
        reason="full-ft needs weights that have seen video (full-ft from imagenet is origin from imagenet)",
        version=2,
    )
)
