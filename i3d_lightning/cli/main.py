"""`i3d <verb>`: every verb is a function, its arguments are the flags.

Thin: verbs parse, call the package and print. They import what they need when they run, so that help and
misspelt flags need not wait for PyTorch.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from i3d_lightning import interruption
from i3d_lightning.cli import data, experiments, features, look, models, predict, rerun, sweep
from i3d_lightning.cli.parser import check_configurations, check_words, make_parser, take_space
from i3d_lightning.errors import UNWRITABLE, InputError, cannot_write
from i3d_lightning.registry import import_plugins

VERBS: dict[str, Any] = {
    "data": {"demo": data.demo, "check": data.check, "preview": data.preview},
    "pretrain": experiments.pretrain,
    "experiment": experiments.experiment,
    "grid": experiments.grid,
    "sweep": sweep.sweep,
    "cell": experiments.cell,
    "rerun": rerun.rerun,
    "flow": data.flow,
    "predict": predict.predict,
    "features": features.features,
    "table": look.table,
    "compare": look.compare,
    "chart": look.chart,
    "architectures": models.architectures,
    "weights": {"list": models.weights_list},
}


def build_parser() -> ArgumentParser:
    """Make the parser of all verbs."""
    return make_parser(VERBS)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line: bad input ends in one sentence and exit code 2, a signal in 128 and its number."""
    interruption.install()
    stopped = None
    try:
        try:
            _run(sys.argv[1:] if argv is None else argv)
        except SystemExit:
            raise
        except BaseException:  # a signal, whatever became of it on its way through other people's code
            if interruption.received() is None:
                raise
        stopped = interruption.received()
        if stopped is not None:
            raise SystemExit(interruption.farewell(stopped))
    finally:
        if argv is not None:
            interruption.uninstall()
        elif stopped is None:
            interruption.ignore()  # all is done and said: the process is about to end


def _run(argv: Sequence[str]) -> None:
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("i3d_lightning").setLevel(logging.INFO)
    imports, argv = _split_imports(argv)
    try:
        check_words([*imports, *argv])
        check_configurations(argv)
        verb, arguments = _parse(argv)
        import_plugins(imports)
        verb(**take_space(arguments))
    except InputError as error:
        from i3d_lightning import ranks

        if ranks.is_first() or ranks.size() == 1:  # what fails on one process fails on all
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # whoever read our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"error: {cannot_write(error.filename or 'what is to be kept', error)}", file=sys.stderr)
        raise SystemExit(2) from None


def _parse(argv: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The function of a verb, and what the flags say."""
    parser = build_parser()
    config = parser.instantiate(parser.parse_args(argv))
    verb: Any = VERBS
    while isinstance(verb, Mapping):
        name = config["verb"]
        verb, config = verb[name], config[name]
    return verb, {key: value for key, value in vars(config).items() if key != "config"}


def _split_imports(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The modules of every `--import`, wherever it stands, and the other arguments."""
    imports, rest = [], []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != "--import":
            rest.append(word)
        elif equals or (value := next(words, "")):
            imports.append(value)
        else:
            rest.append(word)
    return imports, rest
