"""Registries: what there is by name, of networks, data sets, weights, protocols and launchers.

Modules outside the package add to them. Such a module is found through the entry point group
`i3d_lightning`, or named on the command line with `--import`.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from i3d_lightning.errors import InputError, unknown

GROUP = "i3d_lightning"
"""Entry point group whose modules are imported before a command runs."""


class Named(Protocol):
    """What a registry holds says its name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Registry(Generic[T]):
    """Things by name, in the order in which they were registered.

    Args:
        kind: What they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._known: dict[str, T] = {}

    def register(self, item: T) -> T:
        """Add one.

        Raises:
            ValueError: Its name is taken, or cannot be part of a path.
        """
        if item.name in self._known:
            raise ValueError(f"{self.kind} '{item.name}' is registered already")
        return self.replace(item)

    def replace(self, item: T) -> T:
        """Put one in the place of the one of its name, if there is one.

        Raises:
            ValueError: Its name cannot be part of a path.
        """
        if not _NAME.fullmatch(item.name):
            raise ValueError(f"{self.kind} '{item.name}': a name has letters, digits and . _ + - only")
        self._known[item.name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """Find one by its name.

        Raises:
            InputError: There is none of this name.
        """
        if name not in self._known:
            raise unknown(self.kind, name, self._known)
        return self._known[name]

    def get(self, name: str) -> T | None:
        """Find one, or None where it is not registered, such as one of a module that is not imported."""
        return self._known.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[T]:
        return iter(self._known.values())

    def names(self, pattern: str = "*") -> list[str]:
        """List the names that match a shell pattern, such as `*3d*`."""
        return [name for name in self._known if fnmatchcase(name, pattern)]


_imported: dict[str, None] = {}
_plugins: dict[str, Path] = {}


def imported() -> tuple[str, ...]:
    """List the modules that `import_plugins` was told to import, so that another process can be told so."""
    return tuple(_imported)


def plugins() -> Mapping[str, Path]:
    """Give the file of each module that `import_plugins` imported, those of installed packages too."""
    return _plugins


def import_plugins(modules: Iterable[str] = ()) -> None:
    """Import the modules that extend the package: those of installed packages, and those named.

    Args:
        modules: Names of modules (`my_lab.networks`) or paths of Python files.

    Raises:
        InputError: One cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
            _note(entry.module)
        except Exception as error:  # a plugin may fail in any way
            raise InputError(
                f"The plugin '{entry.name}' ({entry.value}) cannot be imported: {error}."
            ) from error
    for module in modules:
        if not isinstance(module, str) or not module:
            raise InputError(f"--import {module!r}: name a module, or a Python file.")
        path = Path(module)
        is_file = path.suffix == ".py"
        try:
            if is_file:
                sys.path.insert(0, str(path.resolve().parent))
            found = importlib.import_module(path.stem if is_file else module)
        except (Exception, SystemExit) as error:
            raise InputError(f"--import {module}: it cannot be imported ({error}).") from error
        if is_file and Path(found.__file__ or "").resolve() != path.resolve():
            raise InputError(f"--import {module}: there is another module '{path.stem}': rename the file.")
        _imported[str(path.resolve()) if is_file else module] = None
        _note(found.__name__)


def _note(module: str) -> None:
    if file := sys.modules[module].__file__:
        _plugins[module] = Path(file)
