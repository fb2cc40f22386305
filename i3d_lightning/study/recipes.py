"""The recipe of an experiment: clips of the network, training of the data set, what weights expect."""

from __future__ import annotations

from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.networks.registry import ARCHITECTURES, check_clips
from i3d_lightning.recipe import PREPROCESSING, Changes, Clips, Flow, Recipe, Training, compose, plain

Preprocessing = tuple[Clips | None, Flow | None]
"""How frames and flow were prepared for weights, where that is known."""


def recipe_for(
    experiment: Experiment, changes: Changes, expected: Preprocessing = (None, None)
) -> tuple[Recipe, tuple[str, ...]]:
    """Put together the settings of an experiment.

    Args:
        experiment: What is to be run.
        changes: The user's.
        expected: The preprocessing of the weights that it starts from, which is used unless the user says
            otherwise.

    Returns:
        The recipe, and in words where its preprocessing differs from that of the weights.

    Raises:
        InputError: A setting is unknown or out of range, does not suit the network, or has no effect.
    """
    architecture = ARCHITECTURES[experiment.architecture]
    theirs = _expectations(experiment, *expected)
    usual = DATASETS[experiment.dataset].recipe_for(experiment)
    without = compose(
        Recipe(clips=architecture.clips, training=Training(device_batch=architecture.device_batch)),
        {"training": architecture.training},
        usual,
        theirs,
    )
    recipe = compose(without, changes)
    if recipe.training.schedule == "cosine" and recipe.training.stages not in ((), without.training.stages):
        raise InputError(
            "training.stages have no effect under training.schedule 'cosine': say the schedule 'stages' too, "
            "or drop them."
        )
    check_clips(architecture, recipe.clips)
    differences = tuple(
        f"{part}.{name} is {_shown(getattr(getattr(recipe, part), name))}, the weights' {_shown(value)}"
        for part, settings in theirs.items()
        for name, value in settings.items()
        if plain(getattr(getattr(recipe, part), name)) != plain(value)
    )
    return recipe, differences


def _expectations(experiment: Experiment, clips: Clips | None, flow: Flow | None) -> dict[str, Changes]:
    expected: dict[str, Changes] = {}
    if clips is not None:
        names: tuple[str, ...] = PREPROCESSING
        if ARCHITECTURES[experiment.architecture].windows:  # whose positions are learnt for one length
            names = (*names, "train_frames")
        expected["clips"] = {name: getattr(clips, name) for name in names}
    if flow is not None and experiment.stream != "rgb":
        expected["flow"] = {name: value for name, value in plain(flow).items() if name != "source"}
    return expected


def _shown(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
