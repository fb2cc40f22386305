"""Errors that are a user's to mend: one sentence that says what is wrong and what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Collection, Iterable


class InputError(ValueError):
    """Something the user gave is wrong; the message is one sentence that says what to do."""


class UnreadableVideoError(InputError):
    """A video cannot be read: it is left out of training and counted as wrong at test."""


class DiskFullError(InputError):
    """There is no space left: nothing else will do better there."""


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says where a user has to choose another place, or make room."""


def cannot_write(place: object, error: OSError) -> InputError:
    """Make the error for a file or folder that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"No disk space is left to write {place}: free some and run the same command to go on, or choose "
            "another folder."
        )
    return InputError(f"Cannot write {place}: {error.strerror or error}; choose another folder.")


_LINE = 160
"""Characters that a list of known names may take in a message."""


def unknown(kind: str, word: object, known: Iterable[str]) -> InputError:
    """Make the error for a misspelt name, which suggests the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join(known)
    if len(shown) > _LINE:
        few = difflib.get_close_matches(str(word), known, n=3, cutoff=0)
        shown = f"{', '.join(few)} and {len(known) - len(few)} more"
    return InputError(f"Unknown {kind} '{word}': {hint}Known are {shown}.")


def check_known(kind: str, word: object, known: Collection[str]) -> None:
    """Refuse a word that is none of those known.

    Raises:
        InputError: As `unknown` says it.
    """
    if word not in known:
        raise unknown(kind, word, known)
