from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i3d_lightning.datasets import parquet

SCHEMA = pa.schema({"id": pa.string(), "frames": pa.int64()})


def test_any_program_reads_it(tmp_path):
    table = parquet.table_of([("a", 1), ("b", None)], SCHEMA).replace_schema_metadata({"about": "it"})
    parquet.write(tmp_path / "it.parquet", table)
    for found in (parquet.read(tmp_path / "it.parquet"), pq.read_table(tmp_path / "it.parquet")):
        assert found.to_pydict() == table.to_pydict()
        assert found.schema.metadata[b"about"] == b"it"
    assert parquet.table_of([], SCHEMA).schema == SCHEMA


def test_no_flipped_bit_gives_another_table(tmp_path):
    """In what says where columns are and what they are called there are no checksums but this."""
    file = tmp_path / "it.parquet"
    parquet.write(file, parquet.table_of([("a", 1), ("b", None)], SCHEMA))
    content = file.read_bytes()
    for place in range(0, len(content), 3):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(ValueError, match="its checksum is another"):
            parquet.read(file)
    for other in (content[:-1], content + b"\0", b""):
        file.write_bytes(other)
        with pytest.raises(ValueError, match="its checksum is another"):
            parquet.read(file)
