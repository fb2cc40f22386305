"""YAML as people write settings: plain data that says each thing once, and is no larger than it looks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from i3d_lightning.errors import InputError

MOST = 100_000
"""Values that a text may stand for: a few aliases of aliases can stand for billions."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's loader would take the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        met: set[Any] = set()
        for key, _ in node.value:
            word = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if word in met:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' is there twice", key.start_mark
                )
            met.add(word)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """Read YAML.

    Raises:
        ValueError: It is not YAML, names a key twice, or stands for more than anybody would write; said in
            one line.
    """
    try:
        found = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(_in_a_line(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if sum(1 for _ in islice(_values(found), MOST + 1)) > MOST:
        raise ValueError(f"it stands for more than {MOST} values")
    return found


def keys(content: Any) -> Iterator[Any]:
    """Go through the keys of all mappings."""
    return (key for value in _values(content) if isinstance(value, dict) for key in value)


def _values(content: Any) -> Iterator[Any]:
    """Go through all values, those of aliases as often as they are named."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (list, tuple, set)):
            waiting += value


def read(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: It cannot be read, or is not YAML.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except ValueError as error:  # of a path with a NUL too
        raise InputError(f"{path} is not valid YAML: {error}.") from error


def _in_a_line(error: yaml.YAMLError) -> str:
    """What is wrong, and where."""
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or str(error).splitlines()[0]}{where}"
