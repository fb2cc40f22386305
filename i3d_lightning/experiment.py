"""What an experiment is: its words and its name.

Plain data on the ground floor. Which words exist, and which go together, is known to the registries of
networks, data sets and protocols; `study.cells` asks them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from i3d_lightning.errors import InputError

STREAMS = ("rgb", "flow", "joint")
"""What a network sees: frames, optical flow, or both, trained end to end."""
FUSION = "rgb+flow"
"""The mean of an RGB and a flow stream's logits: computed from stored predictions, never trained."""
NONE = "none"
"""Pretraining of a network that starts from scratch."""
RANDOM = "random"
"""Pretraining of a network whose features stay as they were initialised: a control of `fixed`."""
UNTAUGHT = (NONE, RANDOM)
"""Pretraining by nothing."""
NUMBERS = {
    "split": (1, 1000),
    "seed": (0, 2**32 - 1),
    "pretraining_seed": (0, 2**32 - 1),
    "seeds": (1, 1000),
    "pretraining_seeds": (1, 1000),
}
"""The least and most that each number may be."""


def check_number(name: str, value: object) -> None:
    """Check one of `NUMBERS`.

    Raises:
        InputError: It is out of its range, or no whole number.
    """
    least, most = NUMBERS[name]
    if type(value) is not int or not least <= value <= most:
        raise InputError(
            f"{name} is {value!r}, but must be a whole number of at least {least} and at most {most}."
        )


@dataclass(frozen=True)
class Experiment:
    """One cell of the comparison: the unit that is run, resumed, stored and tabulated.

    Attributes:
        architecture: Name of a registered network.
        stream: What the network sees, one of `STREAMS`.
        pretraining: What the weights have seen before this data set, stage by stage, such as `none` or
            `imagenet+kinetics`.
        protocol: How the data set is used.
        dataset: Name of a registered data set.
        split: Official split, from 1.
        seed: Seed of initialisation, order, augmentation, dropout and folds.
        pretraining_seed: Seed of the pretraining that it starts from, all stages of it; 0 where it starts
            from scratch.

    Raises:
        InputError: The split or a seed is no number that it can be.
    """

    architecture: str
    stream: str
    pretraining: str
    protocol: str
    dataset: str
    split: int = 1
    seed: int = 0
    pretraining_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("split", "seed", "pretraining_seed"):
            check_number(name, getattr(self, name))
        if self.pretraining_seed and self.pretraining in UNTAUGHT:
            raise InputError(
                f"pretraining_seed is {self.pretraining_seed}, but nothing comes before pretraining "
                f"'{self.pretraining}'."
            )

    @property
    def folder(self) -> Path:
        """Where the run lives below the run folder: its name is what it is."""
        return (
            Path(f"{self.dataset}-{self.split}")
            / f"{self.architecture}-{self.stream}"
            / (
                f"{self.pretraining}-seed{self.pretraining_seed}"
                if self.pretraining_seed
                else self.pretraining
            )
            / self.protocol
            / f"seed{self.seed}"
        )

    @property
    def name(self) -> str:
        """The name of the run: its folder, below the run folder."""
        return self.folder.as_posix()

    def at(self, seed: int, pretraining_seed: int) -> Experiment:
        """Name the same experiment at other seeds; what starts from scratch has no pretraining to repeat."""
        return replace(
            self, seed=seed, pretraining_seed=0 if self.pretraining in UNTAUGHT else pretraining_seed
        )


def seeds_from(first: int, seeds: int, pretrainings: int = 1) -> list[tuple[int, int]]:
    """Count seeds up from the first, each with the seed of the pretraining that it starts from.

    These take turns, seed s starting from pretraining s mod N; each of the N has a turn at least.

    Raises:
        InputError: There are none, or more than anybody can mean.
    """
    check_number("seeds", seeds)
    check_number("pretraining_seeds", pretrainings)
    return [(seed, seed % pretrainings) for seed in range(first, first + max(seeds, pretrainings))]


def stages(pretraining: str) -> tuple[str, ...]:
    """List what weights have seen, in order; nothing for `none` and `random`."""
    return () if pretraining in UNTAUGHT else tuple(pretraining.split("+"))


def after(pretraining: str, taught: str) -> str:
    """Name the pretraining of weights that started from one and were then trained on something else."""
    return "+".join((*stages(pretraining), taught))
