"""The key of a run: one source and one day."""

import argparse
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

DEFAULT_WINDOW_DAYS: Final = 30
"""Default window for files that name their day of delivery, and the shortest default window of any log."""
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class RunKey:
    """Source and day of a run."""

    source: str
    ds: date

    def __post_init__(self) -> None:
        if not _SOURCE_NAME.fullmatch(self.source):
            raise ValueError(f"source name {self.source!r} does not fit: use a-z, 0-9 and _, starting with a letter")

    def window(self, days: int) -> list[date]:
        """Return the `days` days that end with `ds`, oldest first."""
        return [self.ds - timedelta(days=back) for back in range(days - 1, -1, -1)]


def parse_day(text: str) -> date:
    """Parse ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date {text!r} is not a day: write it as YYYY-MM-DD, for example 2026-11-20") from None


def partition_key(run_key: RunKey, default_source: str) -> str:
    """Return the Airflow partition key: the bare day for the shop's own source, ``source|day`` for any other."""
    return run_key.ds.isoformat() if run_key.source == default_source else f"{run_key.source}|{run_key.ds.isoformat()}"


def parse_partition_key(key: str, default_source: str) -> RunKey:
    """Return the run key of an Airflow partition key. Inverse of `partition_key`."""
    source, _, day = key.rpartition("|")
    return RunKey(source or default_source, parse_day(day))


def run_key_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a command-line parser with --source and --date, which the model's entry points share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the shop's log, for example simulated_shop")
    parser.add_argument("--date", required=True, type=parse_day, help="the date of the run, YYYY-MM-DD")
    return parser


def parsed_run_key(arguments: argparse.Namespace) -> RunKey:
    """Return the run key of --source and --date."""
    return RunKey(arguments.source, arguments.date)
