"""Statements of the SQL page: read-only, over the lake alone, with limits that a process of its own enforces."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.catalog import read_state
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.lake_sql import local_path, source_names, view_query, write_rows
from pipeline_tasks.pages.table_reader import kept_catalog, list_files
from pipeline_tasks.tables.contracts import TABLES

MOST_ROWS: Final = 10_000
MOST_SECONDS: Final = 10
MEMORY_MB: Final = 512
_MOST_BYTES: Final = 20_000_000
_PROCESS: Final = Path(__file__).with_name("sql_process.py")


@dataclass(frozen=True)
class SqlResult:
    """Names and rows of a statement. `more` is true where it has rows beyond the limit."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool

    def csv(self) -> str:
        """Return the rows as CSV without text that a spreadsheet would run as a formula."""
        out = io.StringIO()
        write_rows(list(self.names), [tuple(row) for row in self.rows], "csv", out)
        return out.getvalue()


def run_sql(settings: Settings, source: str, statement: str) -> SqlResult:
    """Run the statement; tables of `source` need no schema.

    Raises:
        ValueError: the statement is not allowed or fails.
        TimeoutError: it took longer than `MOST_SECONDS`.
    """
    request = _request(settings, source, statement)
    try:
        # Isolated and without environment: the process gets no setting, no secret and no path of this one.
        done = subprocess.run(
            [sys.executable, "-I", str(_PROCESS)],
            input=json.dumps(request),
            env={},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"The statement took longer than {MOST_SECONDS} seconds: select fewer rows or days"
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(f"The statement needs too much memory, or DuckDB failed: select fewer rows ({reason})")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ValueError(answer["error"])
    return SqlResult(answer["names"], answer["rows"], answer["more"])


def _request(settings: Settings, source: str, statement: str) -> dict[str, Any]:
    """Return the input of the process. Only tables that the statement names can be read, or all where it names none."""
    mentioned = statement.lower()
    readable = {name for name in TABLES if name in mentioned} or set(TABLES)
    sources = sorted({*source_names(settings), source})
    catalog = kept_catalog(settings)
    state = read_state(catalog, [(one, name) for one in sources for name in readable])
    views: dict[str, dict[str, str]] = {}
    files: list[str] = []
    for one in sources:
        lake = Lake(catalog, one, state)
        listed = {name: list_files(lake, name, None) if name in readable else [] for name in TABLES}
        views[one] = {name: view_query(name, found, readable=name in readable) for name, found in listed.items()}
        files += [local_path(file) for found in listed.values() for file in found]
    limits = {"memory_mb": MEMORY_MB, "most_rows": MOST_ROWS, "most_bytes": _MOST_BYTES}
    return {"views": views, "files": files, "source": source, "statement": statement} | limits
