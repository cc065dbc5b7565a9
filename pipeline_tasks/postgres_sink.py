"""Hands the shelves to an application's Postgres: tonight's partition, swapped in whole.

One schema per source, one table per gold table, partitioned by ds. Rows are copied into a table that nobody sees; it
takes the old partition's place at the end of the same transaction. A reader sees the old night or the new one, waits
for milliseconds at most, and keeps the old one whatever happens on the way.
"""

import io
import uuid
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline_tasks.contracts import TABLES, DataType, Table
from pipeline_tasks.settings import Settings
from pipeline_tasks.staging import Manifest, StagedTable

if TYPE_CHECKING:
    from psycopg import Connection

SUNK: Final[tuple[str, ...]] = ("recommendations", "fallback_recommendations")
_TYPES: Final[dict[DataType, str]] = {
    "string": "text",
    "int": "integer",
    "long": "bigint",
    "double": "double precision",
    "date": "date",
}
_BATCH_ROWS: Final = 50_000
_PATIENCE: Final = "30s"
"""For readers to let go of the old partition; after that the swap gives up, and the old night stays."""


class SinkError(ValueError):
    """The night is not in Postgres; the one before it is as it was."""


def sink_night(settings: Settings, manifest: Manifest) -> dict[str, int]:
    """Swap the manifest's shelves into Postgres and return the rows by table; nothing where no DSN is set.

    Raises:
        SinkError: the server cannot be reached, went away, or refused; the night before is as it was.
    """
    staged = {name: manifest.tables[name] for name in SUNK if name in manifest.tables}
    if settings.postgres_sink is None or not staged:
        return {}
    # Imported here: most installations have no Postgres.
    import psycopg

    dsn = settings.postgres_sink.get_secret_value()
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            return _swap(connection, manifest.source, manifest.ds, staged)
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        # The DSN holds a password: the message names the setting instead.
        raise SinkError(
            f"{manifest.source} {manifest.ds} could not be put into Postgres ({said}): what was there before is "
            "untouched. Start the server or correct NIGHTSHELF_POSTGRES_SINK, then publish the night again"
        ) from error


def _swap(connection: "Connection", source: str, ds: date, staged: dict[str, StagedTable]) -> dict[str, int]:
    fresh = {}
    for name, table in staged.items():
        _make_parent(connection, source, TABLES[name])
        fresh[name] = _load(connection, source, ds, TABLES[name], table)
    # Last, and both together: only from here on does anybody wait.
    connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
    for name, loaded in fresh.items():
        parent, partition = f'"{source}".{name}', f'"{source}".{name}_{ds:%Y%m%d}'
        connection.execute(f"DROP TABLE IF EXISTS {partition}")
        connection.execute(f"ALTER TABLE {parent} ATTACH PARTITION \"{source}\".{loaded} FOR VALUES IN ('{ds}')")
        connection.execute(f'ALTER TABLE "{source}".{loaded} DROP CONSTRAINT {loaded}_ds')
        connection.execute(f'ALTER TABLE "{source}".{loaded} RENAME TO {name}_{ds:%Y%m%d}')
    return {name: table.rows for name, table in staged.items()}


def _make_parent(connection: "Connection", source: str, table: Table) -> None:
    columns = ", ".join(
        f"{column.name} {_TYPES[column.dtype]}{'' if column.nullable else ' NOT NULL'}" for column in table.columns
    )
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{source}".{table.name} ({columns}, PRIMARY KEY ({", ".join(table.key)})) '
        "PARTITION BY LIST (ds)"
    )


def _load(connection: "Connection", source: str, ds: date, table: Table, staged: StagedTable) -> str:
    """Copy the rows into a table of their own, and return its name."""
    name = f"{table.name}_{uuid.uuid4().hex[:8]}"
    # The check spares ATTACH a scan of all rows under its lock, and so does the key.
    connection.execute(
        f'CREATE TABLE "{source}".{name} (LIKE "{source}".{table.name}, '
        f"CONSTRAINT {name}_ds CHECK (ds = '{ds}' AND ds IS NOT NULL))"
    )
    columns = ", ".join(table.column_names)
    with connection.cursor() as cursor:
        with cursor.copy(f'COPY "{source}".{name} ({columns}) FROM STDIN (FORMAT csv)') as copy:
            for chunk in _as_csv(staged, table.column_names):
                copy.write(chunk)
        if cursor.rowcount != staged.rows:
            raise SinkError(f"{cursor.rowcount} of {staged.rows} rows of {table.name} arrived in Postgres")
    connection.execute(f'ALTER TABLE "{source}".{name} ADD PRIMARY KEY ({", ".join(table.key)})')
    return name


def _as_csv(staged: StagedTable, columns: list[str]) -> Iterator[bytes]:
    """Yield the staged rows as CSV, a batch at a time; NULL is an empty field, an empty text a quoted one."""
    options = pa_csv.WriteOptions(include_header=False)
    for file in staged.files:
        system, inner = fs.FileSystem.from_uri(file) if "://" in file else (fs.LocalFileSystem(), file)
        with system.open_input_file(inner) as opened:
            for batch in pq.ParquetFile(opened).iter_batches(_BATCH_ROWS, columns=columns):
                buffer = io.BytesIO()
                pa_csv.write_csv(pa.Table.from_batches([batch.select(columns)]), buffer, options)
                yield buffer.getvalue()
