"""Writes records as Parquet whose columns change their types from file to file, as programs change them."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.odd_values import COLUMNS, Record

TYPES: Final[dict[str, tuple[pa.DataType, ...]]] = {
    "units": (pa.int64(), pa.float64(), pa.int32(), pa.float32(), pa.int8()),
}
"""Columns whose type differs by file."""


def write_parquet(path: Path, records: Sequence[Record]) -> None:
    """Write the records; a column that no mapping names is of another type in every file."""
    draw = random.Random(path.name)
    columns = {name: _column(name, records, draw) for name in COLUMNS}
    columns["unmapped"] = draw.choice(
        [pa.nulls(len(records)), pa.array(range(len(records))), pa.array(["x"] * len(records))]
    )
    pq.write_table(pa.table(columns), path)


def _column(name: str, records: Sequence[Record], draw: random.Random) -> pa.Array:
    values = [record.values[name] for record in records]
    if name in TYPES:
        return pa.array([int(value) for value in values], draw.choice(TYPES[name]))
    return pa.array([None if value == "" else str(value) for value in values], pa.string())
