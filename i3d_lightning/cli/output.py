"""What verbs print: tables, JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from json import dumps
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from i3d_lightning.errors import InputError, cannot_write, check_known
from i3d_lightning.study.workspace import check_folder

FORMATS = ("terminal", "markdown", "latex")


def check_format(format: str) -> None:
    """Refuse an unknown format.

    Raises:
        InputError: It is unknown.
    """
    check_known("format", format, FORMATS)


def check_picture(path: Path) -> None:
    """Refuse a place where no picture can be written, before it is drawn.

    Raises:
        InputError: It is a folder, below a file or where nothing may be written, or of another format.
    """
    check_file("picture", path, ".png")


def check_file(what: str, path: Path, suffix: str) -> None:
    """Refuse a place where no file of a format can be written, before there is anything to write.

    Raises:
        InputError: As `check_picture`.
    """
    if path.is_dir() or path.suffix.lower() != suffix:
        raise InputError(f"The {what} cannot be {path}: give the name of a file that ends in {suffix}.")
    check_folder(f"The {what}'s folder", path.parent)
    nearest = next(place for place in path.absolute().parents if place.exists())
    try:
        with TemporaryFile(dir=nearest):  # as asking for permission says yes to some, and is wrong
            pass
    except OSError as error:
        raise cannot_write(path, error) from error


def print_paper_table(shown: Any, format: str) -> None:
    """Print a table of the paper's in one of `FORMATS`."""
    from i3d_lightning.results import overview, tables

    frame = tables.flat(shown)
    if format == "latex":
        print(tables.as_latex(shown))
    elif format == "markdown":
        print(f"{shown.title}\n\n{overview.markdown(frame)}\n{shown.note}")
    else:
        print_frame(frame, shown.title, shown.note)


def print_frame(frame: Any, title: str | None, note: str) -> None:
    """Print a data frame as a table for people."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(*frame.columns, title=title, caption=Text(note), caption_justify="left")
    for row in frame.itertuples(index=False):
        grid.add_row(*map(str, row))
    print_rich(grid)


def print_rich(renderable: Any) -> None:
    """Print in the width of the terminal, or wide where there is none."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 240).print(renderable)


def print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        print(dumps(row), flush=True)
