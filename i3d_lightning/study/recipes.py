"""The recipe of an experiment: clips of the network, training of the data set, what weights expect."""

from __future__ import annotations

from functools import lru_cache

from i3d_lightning.datasets.registry import DATASETS
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import UNTAUGHT, Experiment
from i3d_lightning.networks.registry import ARCHITECTURES, check_clips, unallocated
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import PREPROCESSING, Changes, Clips, Flow, Recipe, Training, compose, plain
from i3d_lightning.training.optimisers import layer_scales

OF_OPTIMISER = ("learning_rate", "schedule", "stages", "patience", "momentum", "weight_decay")
"""Settings of `Training` that say nothing without the optimiser that they are for."""

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
        *_suited(architecture.training, usual, experiment.pretraining),
        theirs,
    )
    recipe = compose(without, changes)
    if recipe.training.schedule == "cosine" and recipe.training.stages not in ((), without.training.stages):
        raise InputError(
            "training.stages have no effect under training.schedule 'cosine': say the schedule 'stages' too, "
            "or drop them."
        )
    check_clips(architecture, recipe.clips)
    if recipe.training.layer_decay != 1 and PROTOCOLS[experiment.protocol].trains_by_steps:
        _check_layers(experiment.architecture, experiment.stream, recipe)
    differences = tuple(
        f"{part}.{name} is {_shown(getattr(getattr(recipe, part), name))}, the weights' {_shown(value)}"
        for part, settings in theirs.items()
        for name, value in settings.items()
        if plain(getattr(getattr(recipe, part), name)) != plain(value)
    )
    return recipe, differences


def _suited(own: Changes, usual: Changes, pretraining: str) -> tuple[Changes, Changes]:
    """Fit a network's training and a data set's to each other.

    Rates of a data set that names no optimiser are for SGD: a network with another one keeps its own, in
    proportion to the clips of a step that the data set counts with. Rates that decay by layer are for weights
    that have learnt something.
    """
    training = dict(usual.get("training", {}))
    own = dict(own)
    if pretraining in UNTAUGHT:
        own.pop("layer_decay", None)
    if own.get("optimizer", Training.optimizer) != Training.optimizer and "optimizer" not in training:
        training = {name: value for name, value in training.items() if name not in OF_OPTIMISER}
        more = training.get("reference_batch", Training.reference_batch) / Training.reference_batch
        own["learning_rate"] = more * own.get("learning_rate", Training.learning_rate)
        own["warmup_steps"] = round(own.get("warmup_steps", Training.warmup_steps) / more)
    return {"training": own}, {**usual, "training": training}


@lru_cache(maxsize=64)
def _check_layers(architecture: str, stream: str, recipe: Recipe) -> None:
    """Refuse rates that decay by layer for a network that does not say its layers; nothing is allocated."""
    with unallocated():
        network = ARCHITECTURES[architecture].build(2, stream, recipe.clips, recipe.training)
    layer_scales(network, recipe.training.layer_decay)


def check_answers(experiment: Experiment, changes: Changes) -> None:
    """Make sure that the user says what only she knows of a data set, before anything is trained on it.

    Args:
        experiment: What is to be run.
        changes: The user's settings.

    Raises:
        InputError: A setting that the data set asks for is not among them.
    """
    if not PROTOCOLS[experiment.protocol].trains_by_steps:
        return
    for setting, question in DATASETS[experiment.dataset].asks.items():
        part, name = setting.split(".")
        if (changes.get(part) or {}).get(name) is None:
            raise InputError(
                f"Only you know of {experiment.dataset} {question}: say --recipe.{setting} true or false (in "
                f"a file, recipe: {{{part}: {{{name}: false}}}})."
            )


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
