"""Runs one statement of the SQL page in a process that can read the listed files and nothing else.

It is started as a file and imports only DuckDB. A JSON object on standard input has `views` (source -> table -> query),
`source`, `files`, `statement`, `memory_mb`, `most_rows` and `most_bytes`. The result is a JSON object on standard
output: `names`, `rows` and `more`, or `error`.
"""

import json
import resource
import sys
from itertools import accumulate
from typing import Any

import duckdb

_ADDRESS_SPACE = 4 * 2**30
"""DuckDB's limit counts its buffers, not every string that a function makes; this one counts all."""


def main() -> None:
    """Read the request, answer it."""
    given = json.load(sys.stdin)
    _limit_process()
    try:
        answer = run_statement(given)
    except (duckdb.Error, ValueError) as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "The statement needs too much memory: select fewer rows or columns"}
    json.dump(answer, sys.stdout)


def run_statement(given: dict[str, Any]) -> dict[str, Any]:
    """Return names and rows.

    Raises:
        ValueError: the text is not exactly one statement that only reads.
        duckdb.Error: the statement fails.
    """
    database = duckdb.connect(config={"memory_limit": f"{given['memory_mb']}MB", "threads": 2, "temp_directory": ""})
    _require_reading(given["statement"])
    _create_views(database, given)
    _close(database, given["files"])
    relation = database.sql(given["statement"])
    if relation is None:
        raise ValueError("The statement returns no rows: write a SELECT")
    found = relation.limit(given["most_rows"] + 1).fetchall()
    rows = [[_plain(value) for value in row] for row in found[: given["most_rows"]]]
    kept = _within(rows, given["most_bytes"])
    return {"names": relation.columns, "rows": kept, "more": len(found) > len(kept)}


def _within(rows: list[list[Any]], most_bytes: int) -> list[list[Any]]:
    """Return the first rows whose texts together have at most so many characters."""
    sizes = accumulate(sum(len(str(value)) for value in row) for row in rows)
    return rows[: sum(size <= most_bytes for size in sizes)]


def _require_reading(statement: str) -> None:
    statements = duckdb.extract_statements(statement)
    if len(statements) != 1:
        raise ValueError(f"Write exactly one statement, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError(f"{statements[0].type.name} is not allowed: only statements that read are, such as SELECT")


def _create_views(database: duckdb.DuckDBPyConnection, given: dict[str, Any]) -> None:
    database.execute("SET TimeZone = 'UTC'")
    for source, views in given["views"].items():
        database.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
        for name, rows in views.items():
            database.execute(f'CREATE VIEW "{source}".{name} AS {rows}')
    database.execute(f"SET schema = '\"{given['source']}\"'")


def _close(database: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    """Forbid every other file, network, extensions and changes of these settings."""
    paths = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    database.execute(f"SET allowed_paths = [{paths}]")
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
        database.execute(f"SET {setting} = false")
    database.execute("SET python_enable_replacements = false")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def _limit_process() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    # No file can be written, whatever DuckDB allows.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


if __name__ == "__main__":
    main()
