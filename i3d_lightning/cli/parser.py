"""From functions to a command line: their arguments are the flags, their docstrings the help.

Settings of a recipe are taken as they come, and checked by `recipe.compose` as those of every file are.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from jsonargparse import ArgumentParser

from i3d_lightning import yaml_text
from i3d_lightning.errors import InputError, unknown
from i3d_lightning.recipe import Recipe, Settings, describe_settings


def _optional(settings: type[Settings], name: str) -> Any:
    """A twin of settings in which everything may be left open (None)."""
    doc = settings.__doc__ or ""
    twins: list[Any] = []
    for setting, words in describe_settings(settings):
        default = next(f for f in dataclasses.fields(settings) if f.name == setting)  # type: ignore[arg-type]
        if isinstance(default.default_factory, type) and issubclass(default.default_factory, Settings):
            inner = _optional(default.default_factory, default.default_factory.__name__ + "Changes")
            twins.append((setting, inner, field(default_factory=inner)))
        else:
            doc = re.sub(rf"(?m)^(\s+{setting}: )", rf"\1[{words}] ", doc)
            twins.append((setting, Any, None))
    return dataclasses.make_dataclass(
        name, twins, frozen=True, namespace={"__doc__": doc, "__module__": __name__}
    )


RecipeChanges = _optional(Recipe, "RecipeChanges")
"""What the flags `--recipe.*` make: a recipe of which only what is said is set."""

POSITIONAL: Mapping[str, dict[str, Any]] = {
    "videos": {"nargs": "+", "help": "Video files."},
    "file": {"type": Path, "help": "Describes what to run."},
    "source": {"type": Path, "help": "A video, or a folder of videos at any depth."},
    "destination": {
        "type": Path,
        "nargs": "?",
        "default": Path("cache/flow"),
        "help": "Folder that flow is kept in.",
    },
    "src": {"type": Path, "help": "A folder of videos at any depth, a video, or a list of videos."},
    "dst": {"type": Path, "help": "Folder to keep features in."},
    "run": {"type": Path, "help": "The folder of a run, or its name below the runs."},
    "one": {"help": "A run by its name, such as demo-ucf101-1/i3d-rgb/none/origin/seed0."},
    "other": {"help": "The run to compare it with."},
    "which": {"nargs": "?", "default": "all", "help": "all, 1 to 5, findings, or transfer."},
    "picture": {"nargs": "?", "default": "pretraining", "help": "pretraining or transfer."},
    "architecture_pattern": {
        "nargs": "?",
        "default": "*",
        "help": "Only networks of such a name, as 'r*_18'.",
    },
}
"""Arguments that are given without a flag."""

RENAMED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "class_name": (
        "--class",
        {"metavar": "NAME", "help": "The class to draw maps of, instead of the most probable one."},
    ),
}
"""Arguments whose flags are words that Python keeps for itself."""


PLACE: Mapping[str, dict[str, Any]] = {
    "--runs": {"type": Path, "default": Path("runs"), "help": "Folder of all runs, tables included."},
    "--name": {"type": str, "default": "", "help": "A folder below runs, to keep runs apart."},
}
"""Flags of every verb that takes a `place`: where runs are."""

SPACE: Mapping[str, dict[str, Any]] = {
    **PLACE,
    "--cache": {
        "type": Path,
        "default": Path("cache"),
        "help": "Folder of manifests, flow and features that all runs share; may be deleted between runs.",
    },
    "--trainer": {
        "type": dict[str, Any],
        "default": {},
        "help": "Arguments of Lightning's Trainer that say where it runs, such as devices and strategy.",
    },
}
"""Flags of every verb that takes a `space`: where runs are kept and made."""


def take_space(arguments: dict[str, Any]) -> dict[str, Any]:
    """Put what these flags say into a verb's `place`, the folder of runs, or its `space`, a Workspace."""
    if "trainer" in arguments:
        from i3d_lightning.study.workspace import Workspace

        said = {flag: arguments.pop(flag) for flag in ("runs", "cache", "name", "trainer")}
        return arguments | {"space": Workspace(**said)}
    if "runs" in arguments:
        from i3d_lightning.study.workspace import Workspace

        return arguments | {"place": Workspace(arguments.pop("runs"), name=arguments.pop("name")).root}
    return arguments


class Parser(ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong with a command line, and end."""
        parser = getattr(ex, "subcommand_parser", None) or self
        print(f"error: {_sentence(message, parser)} See {parser.prog} --help.", file=sys.stderr)
        raise SystemExit(2)


_WORDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'pathlib.Path'>": "a path",
    "<class 'NoneType'>": "nothing",
}


def _sentence(message: str, parser: ArgumentParser) -> str:
    """One sentence of what jsonargparse says in several lines."""
    if lacking := re.match(r"the following arguments are required: (.*)", message):
        return f"{_flag(lacking[1], parser)} is required."
    if strange := re.match(r"unrecognized arguments: (\S+)", message):
        word = strange[1].partition("=")[0]
        if not word.startswith("--"):
            return f"'{word}' is one argument more than this takes."
        return str(unknown("flag", word, [f for a in parser._actions for f in a.option_strings]))
    if verb := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL):
        return str(unknown("verb", verb[1], re.findall(r"'([^']*)'", verb[2])))
    if verbs := re.match(r'expected ".*" to be one of {(.*)}', message):
        return f"Say which verb: {verbs[1].replace(',', ', ').replace('  ', ' ')}."
    for name, words in _WORDS.items():
        message = message.replace(name, words)
    message = re.sub(r"\s+", " ", message).strip().rstrip(".")
    if value := re.fullmatch(r'Parser key "(.*?)": Expected (.*?)\. Got value: (.*)', message):
        return f"{value[1]} is {value[3]}, but must be {value[2]}."
    return f"{message[:300]}..." if len(message) > 300 else f"{message}."


def _flag(key: str, parser: ArgumentParser) -> str:
    """What a user writes for a key of the configuration."""
    name = key.rpartition(".")[2]
    return f"--{name}" if any(f"--{name}" in a.option_strings for a in parser._actions) else name.upper()


def check_words(argv: Sequence[str]) -> None:
    """Refuse characters that no path or name has, before they end in the middle of something.

    Raises:
        InputError: There is one.
    """
    for word in argv:
        if any(ord(character) < 32 for character in word):
            raise InputError(f"{word!r} has a control character in it: what is it meant to be?")


def check_configurations(argv: Sequence[str]) -> None:
    """Refuse files given by `--config` that are no mappings, name a key twice or are nested without end.

    Raises:
        InputError: One is.
    """
    for path in _configurations(argv):
        content = yaml_text.read(Path(path))
        if not isinstance(content, dict):
            raise InputError(f"{path} is no configuration: it needs settings such as 'seed: 3'.")
        if strange := next((key for key in yaml_text.keys(content) if not isinstance(key, str)), None):
            raise InputError(f"{path} has the setting {strange!r}, but settings have names.")


def _configurations(argv: Sequence[str]) -> Iterator[str]:
    for word, following in zip(argv, [*argv, ""][1:], strict=True):
        if word == "--config" or word.startswith("--config="):
            yield word.partition("=")[2] if "=" in word else following


def make_parser(verbs: Mapping[str, Any]) -> ArgumentParser:
    """Make the parser of all verbs."""
    parser = Parser(prog="i3d", allow_abbrev=False, description="Transfer-learning experiments on video.")
    parser.add_argument(
        "--import",
        metavar="MODULE",
        help="A module or Python file that adds networks, data sets, weights, protocols or launchers; "
        "may be given several times, anywhere.",
    )
    _add_verbs(parser, verbs)
    return parser


def _add_verbs(parser: ArgumentParser, verbs: Mapping[str, Any]) -> None:
    commands = parser.add_subcommands(dest="verb", metavar="VERB", title="verbs")
    for name, verb in verbs.items():
        if isinstance(verb, Mapping):
            inner = Parser(allow_abbrev=False, description=f"{name}: {', '.join(verb)}")
            commands.add_subcommand(name, inner, help=inner.description)
            _add_verbs(inner, verb)
        else:
            summary = (verb.__doc__ or "").split("\n")[0]
            commands.add_subcommand(name, _verb_parser(verb, summary), help=summary)


def _verb_parser(verb: Callable[..., Any], summary: str) -> ArgumentParser:
    parser = Parser(allow_abbrev=False, description=summary)
    parser.add_argument("--config", action="config", help="A YAML file with any of these settings.")
    hints = get_type_hints(verb)
    parser.add_function_arguments(
        verb, skip={"json", "space", "place", *POSITIONAL, *RENAMED}, as_group=False
    )
    for flag, settings in (SPACE if "space" in hints else PLACE if "place" in hints else {}).items():
        parser.add_argument(flag, **settings)
    for name, settings in POSITIONAL.items():
        if name in hints:
            parser.add_argument(name, **settings)
    for name, (flag, settings) in RENAMED.items():
        if name in hints:
            parser.add_argument(flag, dest=name, type=str, default=None, **settings)
    if "json" in hints:
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")
    return parser
