"""The cleaning of the simulated shop by DuckDB, as a process of its own.

python -m tests.benchmarks.clean_duckdb 'landing/*/*/*.parquet' folder 2026-10-22 out.json
"""

import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from string import Template
from typing import Final

import duckdb

from pipeline_tasks.tables.contracts import CHOSEN_TYPES, EVENT_TYPES, TABLES
from spark_jobs.splitting.time_cutoffs import TRAIN_SHARE, VALIDATION_SHARE

THREADS: Final = 2
"""As many as the session's local[2]."""


def clean_with_duckdb(landed: str, folder: str, first_day: str) -> dict[str, object]:
    """Write the events from `first_day` on as ``_ds=…/*.parquet`` into `folder`; return times and cut-offs."""
    started = time.perf_counter()
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        connection.execute(_script(landed, folder, first_day))
        cleaned = time.perf_counter()
        train_end, validation_end = _cutoffs(connection, folder)
    took = {"clean_seconds": cleaned - started, "cutoff_seconds": time.perf_counter() - cleaned}
    return took | {"train_end": train_end, "validation_end": validation_end}


def _script(landed: str, folder: str, first_day: str) -> str:
    names = {
        "landed": quoted(landed),
        "folder": folder,
        "first_day": f"DATE {quoted(first_day)}",
        "event_types": ", ".join(map(quoted, EVENT_TYPES)),
        "columns": ", ".join(TABLES["events"].column_names[1:]),
    }
    return Template(Path(__file__).with_suffix(".sql").read_text()).substitute(names)


def quoted(text: str) -> str:
    """Return an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _cutoffs(connection: duckdb.DuckDBPyConnection, folder: str) -> tuple[str, str]:
    chosen = (
        f"(SELECT ts FROM read_parquet('{folder}/*/*.parquet') WHERE item_id IS NOT NULL "
        f"AND event_type IN ({', '.join(map(quoted, CHOSEN_TYPES))}))"
    )
    counted = connection.execute(f"SELECT count(*) FROM {chosen}").fetchall()[0][0]
    ranks = [counted * part // whole for part, whole in (TRAIN_SHARE, VALIDATION_SHARE)]
    found: list[datetime] = [
        connection.execute(f"SELECT ts::TIMESTAMP FROM {chosen} ORDER BY ts LIMIT 1 OFFSET {rank}").fetchall()[0][0]
        for rank in ranks
    ]
    first, second = ((moment - timedelta(microseconds=1)).isoformat() + "+00:00" for moment in found)
    return first, second


if __name__ == "__main__":
    Path(sys.argv[4]).write_text(json.dumps(clean_with_duckdb(*sys.argv[1:4])))
