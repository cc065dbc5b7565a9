"""Hands the shelves to an application's Postgres: tonight's partition, swapped in whole.

One schema per source, one table per gold table, partitioned by ds. Rows are copied into a table that nobody sees; it
takes the old partition's place at the end of the same transaction. A reader sees the old night or the new one, and
keeps the old one whatever happens on the way. Readers wait for milliseconds; where a transaction that has read the old
partition is still open, for 2 s at most: the swap lets go, and tries again later.

What is copied is what the lake has published, never what a step has staged: Postgres is never ahead of the lake, and
the copy can be made again at any time, alone, with the same result.
"""

import io
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES, DataType, Table

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
_PATIENCE: Final = 30.0
"""Seconds for readers to let go of the old partition; after that the swap gives up, and the old night stays."""
_LOCK_WAIT: Final = "500ms"
"""For one lock. Whoever comes to read waits behind the swap meanwhile: for four locks, two of each table, at most."""
_PAUSE: Final = 1.0
"""Seconds between two tries, in which those who waited read."""


class SinkError(ValueError):
    """The night is not in Postgres; the one before it is as it was."""


def sink_night(settings: Settings, night: RunKey) -> dict[str, int]:
    """Swap the night's published shelves into Postgres and return the rows by table; nothing where no DSN is set.

    Raises:
        SinkError: the lake has no shelves of the night; or the server cannot be reached, went away, or refused. What
            was in Postgres before is as it was.
    """
    if settings.postgres_sink is None:
        return {}
    with job_lock(settings, night.source, f"sink_shelves {night.ds}"):
        return _sink(settings, night, settings.postgres_sink.get_secret_value())


def _sink(settings: Settings, night: RunKey, dsn: str) -> dict[str, int]:
    # Imported here: most installations have no Postgres.
    import psycopg

    lake = Lake.open(settings, night.source).at_one_moment()
    published = {name: lake.files(name, (night.ds, night.ds)) for name in SUNK}
    if missing := [name for name, files in published.items() if not files and _is_due(lake, night, name)]:
        raise SinkError(f"{night.source} {night.ds} has no published {' and '.join(missing)}: publish the night first")
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            return _swap(connection, night, published)
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        # The DSN holds a password: the message names the setting instead.
        remedy = "Start the server or correct NIGHTSHELF_POSTGRES_SINK"
        if isinstance(error, psycopg.errors.DiskFull):
            remedy = "Free some space on the disk of the Postgres server"
        raise SinkError(
            f"{night.source} {night.ds} could not be put into Postgres ({said}): what was there before is untouched, "
            f"and the lake has the night. {remedy}, then run sink_shelves again"
        ) from error


def _is_due(lake: Lake, night: RunKey, name: str) -> bool:
    """Whether a published night has rows of the table: on one of anonymous sessions alone nobody has a shelf."""
    if name != "recommendations":
        return True
    day = (night.ds, night.ds)
    made_for_nobody = lake.files("fallback_recommendations", day) and not lake.files("user_profiles", day)
    return not made_for_nobody


def _swap(connection: "Connection", night: RunKey, published: dict[str, list[str]]) -> dict[str, int]:
    rows, fresh = {}, {}
    for name, files in published.items():
        _make_parent(connection, night.source, TABLES[name])
        fresh[name], rows[name] = _load(connection, night, TABLES[name], files)
    # Last, and both together: only from here on does anybody wait.
    _take_places(connection, night, fresh)
    return rows


def _take_places(connection: "Connection", night: RunKey, fresh: dict[str, str]) -> None:
    """Put the loaded tables in the place of the night's partitions, in as many tries as `_PATIENCE` allows.

    Raises:
        SinkError: somebody held a partition all the while.
    """
    from psycopg.errors import LockNotAvailable

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            # A savepoint: what a try that fails has locked is free again.
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
                for name, loaded in fresh.items():
                    _take_place(connection, night, name, loaded)
            return
        except LockNotAvailable as error:
            if time.monotonic() > until:
                raise SinkError(
                    f"{night.source} {night.ds} could not be put into Postgres: for {_PATIENCE:.0f} s somebody held "
                    "what is to be replaced. It is untouched, and the lake has the night. End the transactions that "
                    "read it (SELECT pid, query FROM pg_stat_activity WHERE state = 'idle in transaction'), then run "
                    "sink_shelves again"
                ) from error
        time.sleep(_PAUSE)


def _take_place(connection: "Connection", night: RunKey, name: str, loaded: str) -> None:
    own, partition = f'"{night.source}".', f"{name}_{night.ds:%Y%m%d}"
    connection.execute(f"DROP TABLE IF EXISTS {own}{partition}")
    connection.execute(f"ALTER TABLE {own}{name} ATTACH PARTITION {own}{loaded} FOR VALUES IN ('{night.ds}')")
    connection.execute(f"ALTER TABLE {own}{loaded} DROP CONSTRAINT {loaded}_ds")
    connection.execute(f"ALTER TABLE {own}{loaded} RENAME TO {partition}")


def _make_parent(connection: "Connection", source: str, table: Table) -> None:
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{source}".{table.name} ({_columns(table)}, '
        f"PRIMARY KEY ({', '.join(table.key)})) PARTITION BY LIST (ds)"
    )


def _columns(table: Table) -> str:
    return ", ".join(
        f"{column.name} {_TYPES[column.dtype]}{'' if column.nullable else ' NOT NULL'}" for column in table.columns
    )


def _load(connection: "Connection", night: RunKey, table: Table, files: list[str]) -> tuple[str, int]:
    """Copy the rows into a table of their own, and return its name and how many they are."""
    name = f"{table.name}_{uuid.uuid4().hex[:8]}"
    # The check spares ATTACH a scan of all rows under its lock, and so does the key. Not LIKE its parent, which would
    # stay locked until the end: of two nights that are swapped at once, each would wait for the other.
    connection.execute(
        f'CREATE TABLE "{night.source}".{name} ({_columns(table)}, '
        f"CONSTRAINT {name}_ds CHECK (ds = '{night.ds}' AND ds IS NOT NULL))"
    )
    columns = ", ".join(table.column_names)
    expected = sum(_rows(file) for file in files)
    with connection.cursor() as cursor:
        with cursor.copy(f'COPY "{night.source}".{name} ({columns}) FROM STDIN (FORMAT csv)') as copy:
            for chunk in _as_csv(files, table.column_names):
                copy.write(chunk)
        if cursor.rowcount != expected:
            raise SinkError(f"{cursor.rowcount} of {expected} rows of {table.name} arrived in Postgres")
    connection.execute(f'ALTER TABLE "{night.source}".{name} ADD PRIMARY KEY ({", ".join(table.key)})')
    return name, expected


def _rows(file: str) -> int:
    system, inner = file_location(file)
    rows: int = pq.read_metadata(inner, filesystem=system).num_rows
    return rows


def _as_csv(files: list[str], columns: list[str]) -> Iterator[bytes]:
    """Yield the files' rows as CSV, a batch at a time; NULL is an empty field, an empty text a quoted one."""
    options = pa_csv.WriteOptions(include_header=False)
    for file in files:
        system, inner = file_location(file)
        with system.open_input_file(inner) as opened:
            for batch in pq.ParquetFile(opened).iter_batches(_BATCH_ROWS, columns=columns):
                buffer = io.BytesIO()
                pa_csv.write_csv(pa.Table.from_batches([batch.select(columns)]), buffer, options)
                yield buffer.getvalue()
