"""Converters: state dicts whose tensors have foreign names, in the names of our networks.

A converter is one file that ends with its registration; a module outside the package adds its own in the
same way:

    register(Converter("my-net", architecture="my-net", recognises=_recognises, convert=_convert))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.networks.adapter import adapted_state
from i3d_lightning.networks.registry import ARCHITECTURES, Architecture, shapes
from i3d_lightning.registry import Registry

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Converter:
    """How the state dicts of one publisher become those of a network here.

    Attributes:
        name: What messages call it.
        architecture: Name of the network that they are then of.
        recognises: Tells its state dicts from all others, by the names and shapes of their tensors.
        convert: Makes the network's state dict of one that it recognises.
        pretraining: What all its weights have seen, None where they differ.
    """

    name: str
    architecture: str
    recognises: Callable[[State], bool]
    convert: Callable[[State], State]
    pretraining: str | None = None


def _of_library(architecture: Architecture) -> Converter:
    """Make the converter of a network of another library, whose weights have their names from there."""

    def recognises(state: State) -> bool:
        last = state.get(f"{architecture.last}.weight")
        if last is None or not last.ndim:
            return False
        ours = {name: t.shape for name, t in adapted_state(state, architecture.last).items()}
        return ours == shapes(architecture, classes=len(last))

    def convert(state: State) -> State:
        return adapted_state(state, architecture.last)

    return Converter(architecture.name, architecture.name, recognises, convert)


CONVERTERS: Registry[Converter] = Registry("converter")
register = CONVERTERS.register


def convert(
    state: State, source: str, architecture: str | None = None, meant_for: str | None = None
) -> tuple[dict[str, Tensor], Converter]:
    """Convert a state dict by the one converter that recognises it.

    Args:
        state: Tensors in foreign names, also as saved through `DataParallel`.
        source: Where they come from, for messages.
        architecture: The network that they are known to be of; None asks every converter.
        meant_for: The network that they are to be used for, which decides where several have the same
            tensors.

    Returns:
        The tensors in our names, and the converter.

    Raises:
        InputError: No converter recognises them, or several do, or it finds them incomplete.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    if not state:
        raise InputError(f"{source} holds no weights: there is no tensor in it.")
    every = [*CONVERTERS, *(_of_library(a) for a in ARCHITECTURES if a.last)]
    asked = [c for c in every if architecture in (None, c.architecture)]
    meant = [c for c in asked if c.architecture == meant_for and c.recognises(state)]
    found = meant or [c for c in asked if c.recognises(state)]
    if not found:
        looked_for = f"those of {architecture}" if architecture else "any that `i3d architectures` lists"
        raise InputError(
            f"{source} holds weights of no known network: its tensors, such as {next(iter(state))}, have not "
            f"the names and shapes of {looked_for}."
        )
    if len(found) > 1:
        names = " and ".join(c.name for c in found)
        if all(ARCHITECTURES[c.architecture].library for c in found):
            raise InputError(
                f"{source} holds weights that {names} have alike: say which they are of, --architecture."
            )
        raise InputError(f"{source} holds weights that {names} all recognise: register only one of them.")
    try:
        converted = dict(found[0].convert(state))
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{source} holds weights that {found[0].name} cannot convert: {error}.") from error
    for name in list(converted):
        if name.endswith("bn.running_mean"):  # files from before torch 0.4.1 have no such counters
            counter = name.replace("running_mean", "num_batches_tracked")
            converted.setdefault(counter, torch.tensor(0))
    return converted, found[0]
