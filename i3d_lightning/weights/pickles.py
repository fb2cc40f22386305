"""Pickles of tensors and arrays: their instructions are looked at before any is followed."""

from __future__ import annotations

import pickletools
from collections.abc import Collection
from typing import BinaryIO

from i3d_lightning.errors import InputError

MOST_STEPS = 1_000_000
"""Instructions; a network of a thousand tensors takes some thirty thousand."""
DEEPEST = 100
"""Open marks; weights have a handful."""

# All that pickling dicts, tuples, text, numbers, arrays and tensors needs.
_ADMITTED = frozenset(
    """
    PROTO FRAME STOP MARK EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 DICT LIST
    APPEND APPENDS SETITEM SETITEMS NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 STRING BINSTRING SHORT_BINSTRING
    BINBYTES SHORT_BINBYTES BINBYTES8 GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL
    STACK_GLOBAL REDUCE BUILD BINPERSID
    """.split()  # noqa: SIM905
)


class Forbidden(ValueError):
    """A pickle asks for what no weights need."""


def check(file: BinaryIO, names: Collection[tuple[str, str]]) -> None:
    """Go through the instructions of a pickle, up to its end, without following any.

    Numbers that make room for something are compared with what there is, so that what is then built is no
    larger than the file.

    Args:
        file: At the beginning of the pickle.
        names: Modules and names that it may ask for by GLOBAL; of STACK_GLOBAL the unpickler is the judge.

    Raises:
        Forbidden: It asks for something else, or for more than weights do.
        ValueError: It is damaged.
    """
    depth = 0
    for step, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        word = instruction.name
        if word not in _ADMITTED:
            raise Forbidden(f"the instruction {word}")
        depth += (word == "MARK") - (word in ("TUPLE", "DICT", "LIST", "APPENDS", "SETITEMS"))
        if step > MOST_STEPS or depth > DEEPEST:
            raise Forbidden("more than weights take")
        if "PUT" in word and int(argument or 0) > step:  # room is made for all up to it
            raise Forbidden(f"a memory of {argument} things")
        if word == "GLOBAL" and tuple(str(argument).split(" ")) not in names:
            raise Forbidden(str(argument).replace(" ", "."))


def refused(path: object, error: Forbidden) -> InputError:
    """Make the sentence for a pickle that is refused."""
    return InputError(
        f"{path} is refused, since it is a pickle that asks for {error}: nothing but numpy arrays and "
        "tensors is read from pickles, so save the state_dict alone."
    )
