"""SQL over the lake: DuckDB with a view per table, over the Parquet files of its Iceberg snapshots.

A statement reads a consistent state of all tables: it never joins new rows of one table with old rows of another.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, TextIO

import duckdb
from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.catalog import open_catalog, read_state
from pipeline_tasks.lake.files import require_readable
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and line feed, and marks that reverse the direction of text."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
OutputFormat = Literal["table", "csv", "json"]
Rows = Sequence[tuple[Any, ...]]
_FILE_ERRORS = (duckdb.Error, duckdb.IOException, duckdb.InvalidInputException, duckdb.InternalException)
"""Errors of DuckDB for a file that cannot be read. An invalid statement raises another class."""
_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "array<string>": "VARCHAR[]",
    "array<long>": "BIGINT[]",
    "array<double>": "DOUBLE[]",
}


def for_terminal(text: str) -> str:
    """Return the text with every control character escaped, as `\\x1b`, because a terminal would obey it."""
    return _CONTROLS.sub(lambda found: ascii(found.group()).strip("'"), text)


def for_spreadsheet(value: object) -> object:
    """Return the value, with an apostrophe in front of text that a spreadsheet would run as a formula.

    Numbers are unchanged, also in a text column.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def source_names(settings: Settings) -> list[str]:
    """Return the sources that have tables in the lake."""
    return sorted(".".join(namespace) for namespace in open_catalog(settings).list_namespaces())


def source_to_read(settings: Settings, source: str, sql: str, *, named: bool) -> tuple[str, str]:
    """Return the source whose tables need no schema, and a note for the user, else "".

    It is `source`. If the user has not `named` it, it has no tables and exactly one other source has, it is the
    other one.
    """
    present = source_names(settings)
    if source in present or any(f"{name}." in sql.lower() for name in present):
        return source, ""
    if not present:
        return source, f"{source} has no tables yet: nightshelf run --source {source} --date YYYY-MM-DD"
    if not named and len(present) == 1:
        return present[0], f"{source} has no tables yet: read {present[0]}, the only source that has"
    return source, f"{source} has no tables yet; there are {', '.join(present)}: nightshelf sql --source {present[0]}"


def open_database(settings: Settings, default_source: str, mentioned_in: str = "") -> duckdb.DuckDBPyConnection:
    """Return a connection with a schema per source; tables of `default_source` need no schema.

    Only tables named in the text `mentioned_in` (in any case) can be read, or all if it is empty, because listing a
    snapshot's files takes 20 ms a table. The other views have columns but raise an error when they are read.
    """
    mentioned = mentioned_in.lower()
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    catalog = open_catalog(settings)
    sources = {*source_names(settings), default_source}
    readable = [name for name in TABLES if not mentioned or name in mentioned]
    state = read_state(catalog, [(source, name) for source in sources for name in readable])
    for source in sources:
        database.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
        for name in TABLES:
            _create_view(database, Lake(catalog, source, state), name, readable=name in readable)
    database.execute(f"SET schema = '\"{default_source}\"'")
    return database


def query(settings: Settings, default_source: str, sql: str) -> tuple[list[str], Rows]:
    """Return column names and rows of the query.

    Raises:
        ValueError: the statement fails; with DuckDB's message.
        DamagedFileError: a file of a table in the statement cannot be read.
    """
    with reading(settings, default_source, sql) as database:
        result = database.execute(sql)
        if result is None:
            raise ValueError('The statement is empty: write one, such as "SELECT * FROM events LIMIT 5"')
        names = [column[0] for column in result.description or []]
        return names, result.fetchall()


@contextmanager
def reading(settings: Settings, default_source: str, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database for the statements in `sql`; all of them read one state of the tables.

    Raises:
        ValueError: a statement fails; with DuckDB's message.
        DamagedFileError: a file of a table in the statements cannot be read.
    """
    try:
        with open_database(settings, default_source, sql) as database:
            yield database
    except duckdb.Error as error:
        if type(error) in _FILE_ERRORS:
            _require_readable(settings, sql)
        raise ValueError(f"{error}\nTables: {', '.join(TABLES)}; other sources as schemas: source.table") from None


def _require_readable(settings: Settings, sql: str) -> None:
    """Raise DamagedFileError if a file of a table in the statement cannot be read."""
    for source in source_names(settings):
        lake = Lake.open(settings, source).consistent_view()
        for name in TABLES:
            if name in sql.lower() and (table := lake.present(name)) is not None:
                require_readable(table)


def write_rows(names: list[str], rows: Rows, how: OutputFormat, out: TextIO | None = None) -> None:
    """Write the rows as a drawn table, as CSV with a header, or as a JSON list of objects.

    A drawn table contains no terminal escape sequences. CSV contains no text that a spreadsheet would run as a formula.
    """
    out = out or sys.stdout
    if how == "json":
        json.dump([dict(zip(names, row, strict=True)) for row in rows], out, default=str, indent=1)
        out.write("\n")
    elif how == "csv":
        writer = csv.writer(_Lines(out))
        writer.writerows([for_spreadsheet(value) for value in row] for row in [names, *rows])
    else:
        drawn = RichTable(*(Column(Text(for_terminal(name))) for name in names))
        for row in rows:
            # As Text, because rich would read "[new] lamp" as markup.
            drawn.add_row(*(Text("" if value is None else for_terminal(str(value))) for value in row))
        Console(file=out, width=None if out.isatty() else 200).print(drawn)


class _Lines:
    """Ends CSV lines by a line feed alone. With lineterminator="\\n", csv would not quote a carriage return."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def write(self, line: str) -> int:
        """Write a line that ends in carriage return and line feed."""
        return self.out.write(line.removesuffix("\r\n") + "\n")


def _create_view(database: duckdb.DuckDBPyConnection, lake: Lake, name: str, *, readable: bool) -> None:
    rows = view_query(name, lake.files(name) if readable else [], readable=readable)
    database.execute(f'CREATE VIEW "{lake.source}".{name} AS {rows}')


def view_query(name: str, files: Sequence[str], *, readable: bool = True) -> str:
    """Return the query behind the view of a table: the rows of its files, or none, with the contract's columns.

    The view of a table that is not `readable` has columns but raises an error when it is read.
    """
    if files:
        paths = ", ".join("'" + local_path(file).replace("'", "''") + "'" for file in files)
        return f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false, union_by_name = true)"
    columns = ", ".join(f"NULL::{_DUCKDB_TYPES[column.dtype]} AS {column.name}" for column in TABLES[name].columns)
    # A statement may compute a table's name. The view must then fail instead of being empty.
    unread = f"{name} is not read: write its name into the statement as one word"
    return f"SELECT {columns} WHERE " + ("false" if readable else f"error('{unread}')::BOOLEAN")


def local_path(file: str) -> str:
    """Return the file as DuckDB names it."""
    return file.removeprefix("file://")


@dataclass(frozen=True)
class TableSummary:
    """Size of one table of one source."""

    source: str
    table: str
    rows: int
    days: int
    first: date | None
    last: date | None
    mebibytes: float
    snapshot_id: int


def summarize_lake(settings: Settings) -> list[TableSummary]:
    """Return a summary of every table that has a snapshot. Counts come from the snapshots, without reading data."""
    catalog = open_catalog(settings)
    lakes = [Lake(catalog, source).consistent_view() for source in source_names(settings)]
    found = [_summarize(lake, name) for lake in lakes for name in TABLES]
    return [summary for summary in found if summary is not None]


def _summarize(lake: Lake, name: str) -> TableSummary | None:
    table = lake.present(name)
    snapshot = table.current_snapshot() if table else None
    if snapshot is None:
        return None
    totals = snapshot.summary.additional_properties if snapshot.summary else {}
    days = lake.days(name)
    return TableSummary(
        source=lake.source,
        table=name,
        rows=int(totals.get("total-records", 0)),
        days=len(days),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        mebibytes=int(totals.get("total-files-size", 0)) / 2**20,
        snapshot_id=snapshot.snapshot_id,
    )
