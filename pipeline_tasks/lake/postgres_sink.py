"""Copies the recommendations of a run into an application's Postgres, as one partition that is swapped in whole.

Each source is a schema, and each copied table is partitioned by ds. Rows are copied into a new table, which replaces
the old partition at the end of the same transaction. Readers see the old partition or the new one; after a failure,
the old one stays. Readers wait for milliseconds. They wait for 2 s at most where an open transaction has read the old
partition: the swap then releases its locks and tries again later.

Only published tables of the lake are copied, never staged files, so Postgres is never ahead of the lake. The copy can
be repeated at any time with the same result.
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
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES, DataType, Table

if TYPE_CHECKING:
    from psycopg import Connection

COPIED_TABLES: Final[tuple[str, ...]] = ("recommendations", "fallback_recommendations")
_TYPES: Final[dict[DataType, str]] = {
    "string": "text",
    "int": "integer",
    "long": "bigint",
    "double": "double precision",
    "date": "date",
}
_BATCH_ROWS: Final = 50_000
_PATIENCE: Final = 30.0
"""Seconds that the swap tries to lock the old partition. After that it fails, and the old partition stays."""
_LOCK_WAIT: Final = "500ms"
"""Longest wait for one lock. New readers wait behind the swap meanwhile, for four locks (two per table) at most."""
_PAUSE: Final = 1.0
"""Seconds between two attempts, in which the waiting readers read."""


class SinkError(ValueError):
    """The run was not copied into Postgres, which is unchanged."""


def copy_recommendations(settings: Settings, run_key: RunKey) -> dict[str, int]:
    """Copy the run's published recommendations into Postgres and return the rows by table; {} where no DSN is set.

    Raises:
        SinkError: the lake has no recommendations of the run, or the server is unreachable, stopped, or refused.
            Postgres is unchanged.
    """
    if settings.postgres_sink is None:
        return {}
    with job_lock(settings, run_key.source, f"sink_shelves {run_key.ds}"):
        return _sink(settings, run_key, settings.postgres_sink.get_secret_value())


def _sink(settings: Settings, run_key: RunKey, dsn: str) -> dict[str, int]:
    # Imported here: most installations have no Postgres.
    import psycopg

    lake = Lake.open(settings, run_key.source).consistent_view()
    published = {name: lake.files(name, (run_key.ds, run_key.ds)) for name in COPIED_TABLES}
    if missing := [name for name, files in published.items() if not files and _is_due(lake, run_key, name)]:
        raise SinkError(
            f"{run_key.source} {run_key.ds} has no published {' and '.join(missing)}: publish that day first"
        )
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            return _swap(connection, run_key, published)
    except psycopg.Error as error:
        cause = " ".join(str(error).split())
        # The DSN holds a password: the message names the setting instead.
        remedy = "Start the server or correct NIGHTSHELF_POSTGRES_SINK"
        if isinstance(error, psycopg.errors.DiskFull):
            remedy = "Free some space on the disk of the Postgres server"
        raise SinkError(
            f"{run_key.source} {run_key.ds} could not be copied into Postgres ({cause}). Postgres is unchanged, and "
            f"the lake holds that day. {remedy}, then run sink_shelves again"
        ) from error


def _is_due(lake: Lake, run_key: RunKey, name: str) -> bool:
    """Return whether the run must have rows of the table. A run of anonymous sessions alone has no recommendations."""
    if name != "recommendations":
        return True
    day = (run_key.ds, run_key.ds)
    has_no_users = lake.files("fallback_recommendations", day) and not lake.files("user_profiles", day)
    return not has_no_users


def _swap(connection: "Connection", run_key: RunKey, published: dict[str, list[str]]) -> dict[str, int]:
    rows, fresh = {}, {}
    for name, files in published.items():
        _make_parent(connection, run_key.source, TABLES[name])
        fresh[name], rows[name] = _load(connection, run_key, TABLES[name], files)
    # Both tables are swapped together at the end, because readers wait only from here on.
    _replace_partitions(connection, run_key, fresh)
    return rows


def _replace_partitions(connection: "Connection", run_key: RunKey, fresh: dict[str, str]) -> None:
    """Replace the run's partitions by the loaded tables, in as many attempts as `_PATIENCE` allows.

    Raises:
        SinkError: other transactions held a partition in every attempt.
    """
    from psycopg.errors import LockNotAvailable

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            # A savepoint: a failed attempt releases its locks.
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
                for name, loaded in fresh.items():
                    _replace_partition(connection, run_key, name, loaded)
            return
        except LockNotAvailable as error:
            if time.monotonic() > until:
                raise SinkError(
                    f"{run_key.source} {run_key.ds} could not be copied into Postgres: other transactions held the "
                    f"partition for {_PATIENCE:.0f} s. Postgres is unchanged, and the lake holds that day. End those "
                    "transactions (SELECT pid, query FROM pg_stat_activity WHERE state = 'idle in transaction'), then "
                    "run sink_shelves again"
                ) from error
        time.sleep(_PAUSE)


def _replace_partition(connection: "Connection", run_key: RunKey, name: str, loaded: str) -> None:
    own, partition = f'"{run_key.source}".', f"{name}_{run_key.ds:%Y%m%d}"
    connection.execute(f"DROP TABLE IF EXISTS {own}{partition}")
    connection.execute(f"ALTER TABLE {own}{name} ATTACH PARTITION {own}{loaded} FOR VALUES IN ('{run_key.ds}')")
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


def _load(connection: "Connection", run_key: RunKey, table: Table, files: list[str]) -> tuple[str, int]:
    """Copy the rows into a new table and return its name and number of rows."""
    name = f"{table.name}_{uuid.uuid4().hex[:8]}"
    # With the check and the key, ATTACH need not scan all rows under its lock. LIKE would lock the parent until the
    # end, and two runs that are swapped at once would deadlock.
    connection.execute(
        f'CREATE TABLE "{run_key.source}".{name} ({_columns(table)}, '
        f"CONSTRAINT {name}_ds CHECK (ds = '{run_key.ds}' AND ds IS NOT NULL))"
    )
    columns = ", ".join(table.column_names)
    expected = sum(_rows(file) for file in files)
    with connection.cursor() as cursor:
        with cursor.copy(f'COPY "{run_key.source}".{name} ({columns}) FROM STDIN (FORMAT csv)') as copy:
            for chunk in _as_csv(files, table.column_names):
                copy.write(chunk)
        if cursor.rowcount != expected:
            raise SinkError(f"{cursor.rowcount} of {expected} rows of {table.name} arrived in Postgres")
    connection.execute(f'ALTER TABLE "{run_key.source}".{name} ADD PRIMARY KEY ({", ".join(table.key)})')
    return name, expected


def _rows(file: str) -> int:
    system, inner = file_location(file)
    rows: int = pq.read_metadata(inner, filesystem=system).num_rows
    return rows


def _as_csv(files: list[str], columns: list[str]) -> Iterator[bytes]:
    """Yield the files' rows as CSV, a batch at a time. NULL is an empty field; an empty text is quoted."""
    options = pa_csv.WriteOptions(include_header=False)
    for file in files:
        system, inner = file_location(file)
        with system.open_input_file(inner) as opened:
            for batch in pq.ParquetFile(opened).iter_batches(_BATCH_ROWS, columns=columns):
                buffer = io.BytesIO()
                pa_csv.write_csv(pa.Table.from_batches([batch.select(columns)]), buffer, options)
                yield buffer.getvalue()
