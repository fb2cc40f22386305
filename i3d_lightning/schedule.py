"""How long a training is and how its learning rate goes, at the batch size that it runs with.

A recipe states its schedule for `reference_batch` clips a step. With another batch size a run sees as many
clips, in more steps or in fewer: its warm-up ends, its stages begin and its checkpoints are taken after as
many clips too.
"""

from __future__ import annotations

from dataclasses import dataclass

Stages = tuple[tuple[int, float], ...]

TOLERANCE = 0.01
"""Share by which the clips of a scaled schedule may differ from what was stated: steps are whole."""


@dataclass(frozen=True)
class Course:
    """What a training does, step by step.

    Attributes:
        kind: `stages`, `plateau` or `cosine`, see `recipe.Training.schedule`.
        clips: Clips of an optimiser step.
        steps: Optimiser steps in all, a multiple of `validate_every`.
        validate_every: Steps between checkpoints, and between validations where there are any.
        stages: Pairs: from this step on, the learning rate is so many times that of the start.
        learning_rate: Learning rate at the start, or after the warm-up.
        warmup: Steps over which rates rise from 0.
    """

    kind: str
    clips: int
    steps: int
    validate_every: int
    stages: Stages
    learning_rate: float
    warmup: int = 0

    def scaled(self, clips: int, learning_rate: float) -> Course:
        """Make the course that sees as many clips with another number of them a step.

        Args:
            clips: Clips of a step.
            learning_rate: Learning rate at the start that belongs to them.
        """
        every = max(1, round(self.validate_every * self.clips / clips))
        steps = every * (self.steps // self.validate_every)
        stages = tuple((start * steps // self.steps, factor) for start, factor in self.stages)
        warmup = self.warmup * steps // self.steps
        return Course(self.kind, clips, steps, every, stages, learning_rate, warmup)

    def agrees_with(self, other: Course) -> bool:
        """Say whether both see as many clips, as nearly as steps can be whole."""
        mine, theirs = self.steps * self.clips, other.steps * other.clips
        return abs(mine - theirs) <= TOLERANCE * theirs

    def __str__(self) -> str:
        if self.kind == "cosine":
            rates = ", annealed to zero"
        else:
            latest = " at the latest" if self.kind == "plateau" else ""
            rates = "".join(
                f", {self.learning_rate * factor:g} from step {start:,}{latest}"
                for start, factor in self.stages
            )
        warmup = f" after a warm-up of {self.warmup:,} steps" if self.warmup else ""
        return (
            f"{self.steps:,} steps of {self.clips} clips; learning rate {self.learning_rate:g}{warmup}"
            f"{rates}; a checkpoint every {self.validate_every:,} steps"
        )
