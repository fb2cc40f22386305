"""Tables on disk, each a row a thing: as they were written, or refused.

Parquet has checksums of its pages, but none of what says where these are, of columns' names, or of metadata.
So a file holds the sha256 of all of it, and stays one that any program can read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from i3d_lightning.files import write_atomically

_MARK = b"of this file, with zeros in place of these digits: "
_ZEROS = b"0" * 64


def table_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Make a table of rows."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def write(file: Path, table: pa.Table) -> None:
    """Write a table to a file, whole or not at all.

    Raises:
        InputError: As `files.write_atomically`.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"sha256": _MARK + _ZEROS})
    blank = sink.getvalue().to_pybytes()
    head, _, tail = blank.rpartition(_MARK)
    digest = hashlib.sha256(blank).hexdigest().encode()
    write_atomically(file, lambda sink: sink.write(head + _MARK + digest + tail[len(_ZEROS) :]))


def read(file: Path) -> pa.Table:
    """Read a table from a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not as it was written.
    """
    content = file.read_bytes()
    head, mark, tail = content.rpartition(_MARK)
    digest, tail = tail[: len(_ZEROS)], tail[len(_ZEROS) :]
    if not mark or hashlib.sha256(head + mark + _ZEROS + tail).hexdigest().encode() != digest:
        raise ValueError("its checksum is another")
    return pq.read_table(pa.BufferReader(content))
