"""Prints a hash of the sorted rows of every table of a source, to compare two versions of the code.

python -m tests.benchmarks.table_digests HOME simulated_shop > before.txt

Run the same day with the same seed in two homes. Equal lines of the two outputs are equal tables.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES

OWN_OF_A_RUN: Final = frozenset({"model_version", "fingerprint", "source_file", "published_at"})
"""Columns that differ from run to run: numbers of the registry, and paths below the home."""


def digest(rows: pa.Table) -> str:
    """Return the SHA-256 of the rows, sorted as text, without the columns of OWN_OF_A_RUN."""
    kept = rows.select(sorted(set(rows.column_names) - OWN_OF_A_RUN))
    found = hashlib.sha256(",".join(kept.column_names).encode())
    for line in sorted(map(repr, kept.to_pylist())):
        found.update(line.encode())
    return found.hexdigest()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Hash the sorted rows of every table of a source")
    parser.add_argument("home", type=Path)
    parser.add_argument("source")
    given = parser.parse_args()
    lake = Lake.open(Settings(home=given.home), given.source)
    for name in sorted(TABLES):
        rows = lake.read(name)
        print(f"{name} {len(rows)} {digest(rows)}")


if __name__ == "__main__":
    main()
