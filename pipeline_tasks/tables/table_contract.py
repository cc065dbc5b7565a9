"""The neutral form of a table contract: columns with types and meanings, and a key."""

from dataclasses import dataclass
from typing import Final, Literal

COMPRESSION: Final = "zstd"
"""Compression of every Parquet file, written by Spark or pyarrow."""
DataType = Literal[
    "string", "long", "int", "double", "boolean", "date", "timestamp", "array<string>", "array<long>", "array<double>"
]


@dataclass(frozen=True)
class Column:
    """One column of a contract: name, neutral type, whether NULL is allowed, and meaning."""

    name: str
    dtype: DataType
    nullable: bool
    doc: str


@dataclass(frozen=True)
class Table:
    """One table of the lake, always partitioned by `ds`."""

    name: str
    layer: Literal["silver", "gold"]
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns that together identify a row."""
    example: str
    """A DuckDB query that shows what the table is for. The reference prints it, and the end-to-end test runs it."""

    @property
    def column_names(self) -> list[str]:
        """Column names in contract order."""
        return [column.name for column in self.columns]


def column(name: str, dtype: DataType, doc: str, nullable: bool = False) -> Column:
    """Return a column, which is required unless `nullable`."""
    return Column(name, dtype, nullable, doc)


DS = column("ds", "date", "the day of the source's time zone, UTC where it names none")
USER = column("user_key", "string", "the shop's own key of the user")
ITEM = column("item_id", "string", "the shop's own id of the item")
RANK = column("rank", "int", "1 is the best")
MODEL = column("model_version", "string", "registered model and version that made the row")
