"""The rows of a list as text, from CSV or Parquet, each with where it is."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from i3d_lightning.datasets.split import read_text
from i3d_lightning.errors import InputError

Rows = tuple[list[str], Iterator[tuple[str, dict[str, str]]]]
"""The names of columns, and what each row says in those that mean something, with where it is."""


def read_rows(source: Path, means: Callable[[str], bool]) -> Rows:
    """Read the rows of a list.

    Args:
        source: Its file.
        means: Says of a column's name, in lower case, whether it means something.

    Raises:
        InputError: It is no CSV or Parquet, a row has other cells than columns, or a label is neither text
            nor a whole number.
    """
    return _parquet(source, means) if source.suffix.lower() == ".parquet" else _csv(source)


def _csv(source: Path) -> Rows:
    try:
        text = io.StringIO(read_text(source), newline="")
        reader = csv.reader(text, skipinitialspace=True, strict=True)
        lines = [(reader.line_num, list(map(str.strip, line))) for line in reader]
    except csv.Error as error:
        raise InputError(f"{source} is no CSV list ({error}): mend it.") from error
    (_, header), *lines = [(number, line) for number, line in lines if any(line)] or [(0, [])]
    names = [name.lower() for name in header]

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        for number, line in lines:
            if len(line) != len(names):
                raise InputError(
                    f"{source}, line {number} has {len(line)} cells for {len(names)} columns: mend it (what "
                    'has a comma in it belongs into "").'
                )
            yield f"line {number}", dict(zip(names, line, strict=True))

    return names, rows()


def _parquet(source: Path, means: Callable[[str], bool]) -> Rows:
    try:
        there = pq.read_schema(source).names
        table = pq.read_table(source, columns=[name for name in there if means(name.strip().lower())])
        columns = [column.to_pylist() for column in table.columns]
    except (OSError, pa.ArrowException, ValueError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{source} cannot be read as Parquet ({reason}): mend it.") from error
    read = [name.strip().lower() for name in table.column_names]

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        for number, row in enumerate(zip(*columns, strict=True), 1):
            said = {name: _plain(value) for name, value in zip(read, row, strict=True)}
            if not isinstance(said.get("label", ""), str | int):
                raise InputError(
                    f"{source}, row {number} has the label {str(said['label'])[:100]}, which is neither text "
                    "nor a whole number: write it as one of them."
                )
            yield f"row {number}", {name: str(value).strip() for name, value in said.items()}

    return [name.strip().lower() for name in there], rows()


def _plain(value: Any) -> Any:
    """What a cell of Parquet says; where cells are empty, programs keep whole numbers as fractions."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return int(value) if isinstance(value, float | Decimal) and value % 1 == 0 else value
