"""What a result depends on: one definition, from which the fingerprint of a run and the key of features come.

A run's identity contains its features' identity, so nothing can matter to features and not to the run.
Code is part of it by the result versions of the network and the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from i3d_lightning import ranks
from i3d_lightning.errors import InputError
from i3d_lightning.experiment import Experiment
from i3d_lightning.flow.image_folders import state_of
from i3d_lightning.flow.store import VERSION as FLOW_VERSION
from i3d_lightning.networks.registry import ARCHITECTURES
from i3d_lightning.protocols.base import PROTOCOLS
from i3d_lightning.recipe import Recipe, Training, identifying, plain, without_effect
from i3d_lightning.training.features import VERSION

AUGMENTATION = ("flip", "photometric_jitter")
"""Settings of `Clips` that only training on clips depends on."""


def features_identity(
    experiment: Experiment, recipe: Recipe, weights: str | None, new_layers: bool
) -> dict[str, Any]:
    """List all that a frozen feature depends on, but for the video itself.

    Args:
        experiment: The experiment that they are for.
        recipe: Its settings, with the precision that it computes in.
        weights: The sha256 of the weights, None for none.
        new_layers: Whether some of its layers are new: all, or those that a network of images does not cover.
    """
    architecture = ARCHITECTURES[experiment.architecture]
    # A shorter video is looped to the length of a training clip, so that length counts too.
    clips = {name: value for name, value in identifying(recipe.clips).items() if name not in AUGMENTATION}
    identity = {
        "network": f"{architecture.name} {experiment.stream}, version {architecture.result_version}",
        "features": VERSION,
        "weights": weights,
        "clips": clips,
        "precision": recipe.training.precision,
    }
    if experiment.stream != "rgb":
        source = recipe.flow.source
        if recipe.flow.images:  # of which the state counts, not the place
            source = state_of(source)
        identity["flow"] = {"version": FLOW_VERSION, **identifying(recipe.flow), "source": source}
    if new_layers:
        identity["new layers"] = {"first_layer": recipe.training.first_layer, "seed": experiment.seed}
    return identity


def run_identity(
    experiment: Experiment,
    recipe: Recipe,
    features: Mapping[str, Any],
    data: str,
    processes: int | None,
    hold_out: float = 0.0,
    whole: str = "",
) -> dict[str, Any]:
    """List all that the result of a run depends on.

    Args:
        experiment: What is run.
        recipe: Its settings, with the precision that it computes in.
        features: The identity of its features.
        data: The digest of its videos.
        processes: How many train together, each on statistics of its own share of a batch.
        hold_out: The share of the training videos that it is tested on; 0 for a test.
        whole: Identifies the user's own list that these videos are a split of; nothing for others.
    """
    protocol = PROTOCOLS[experiment.protocol]
    identity = {
        **features,
        "experiment": plain(experiment),
        "protocol": f"{protocol.name}, version {protocol.version}",
        "data": data,
    }
    if whole:
        identity["list"] = whole
    if hold_out:  # never averaged with a test, see `settings_of`
        identity["hold_out"] = float(hold_out)
    if protocol.trains_by_steps:
        settings = identifying(recipe.training)
        ignored = {"precision", *without_effect(Training)}
        identity["training"] = {name: value for name, value in settings.items() if name not in ignored}
        identity["clips"] = identifying(recipe.clips)
        identity["processes"] = processes
    return identity


def settings_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """List what runs that are averaged have in common: all but seed, split, and what follows from these.

    Nor is a user's own list among it, which all runs of a data set have in common.
    """
    own = ("experiment", "data", "list", "weights", "new layers", "processes")
    return {name: value for name, value in identity.items() if name not in own}


def check_same(
    before: Mapping[str, Any], now: Mapping[str, Any], where: object, holder: object = None
) -> None:
    """Refuse to mix two runs with different identities in one folder.

    Args:
        before: What the folder holds.
        now: What is to be run.
        where: The folder.
        holder: Who is writing there, if anyone is.

    Raises:
        InputError: They differ; each difference is named.
    """
    remedy = "choose another place with --name NAME" + ("" if holder else ", or delete that folder")
    busy = f", which {holder} is writing to," if holder else ""
    if "protocol" not in before:
        raise InputError(f"{where}{busy} holds a run of an earlier version of this software: {remedy}.")
    changes = [f"{key} was {old}, now {new}" for key, (old, new) in differing(before, now).items()]
    if changes:
        raise InputError(f"{where}{busy} holds a run with other settings ({'; '.join(changes)}): {remedy}.")


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """List what differs between two nested mappings: by dotted name, what it was and what it is now."""
    old, new = _flat(before), _flat(now)
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def check_alike(identity: Mapping[str, Any]) -> None:
    """Make sure that all processes of a run are about to do the same.

    Raises:
        InputError: One sees other data, other weights or other code than the first.
    """
    unlike = differing(ranks.by_first(lambda: dict(identity)), identity)
    if unlike:
        raise InputError(
            f"Not all processes see the same ({', '.join(unlike)}): give all of them the same files, and "
            "the same version of this software."
        )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
