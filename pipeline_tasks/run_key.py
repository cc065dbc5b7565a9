"""The key under which everything happens: one source, one day."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

DELIVERED_DAYS: Final = 30
"""The window where files name their day of delivery and nobody names another; at least so many days of any log."""
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class RunKey:
    """One source's day."""

    source: str
    ds: date

    def __post_init__(self) -> None:
        if not _SOURCE_NAME.fullmatch(self.source):
            raise ValueError(f"source name {self.source!r} does not fit: use a-z, 0-9 and _, starting with a letter")

    def window(self, days: int) -> list[date]:
        """Return the `days` days that end with this night, oldest first."""
        return [self.ds - timedelta(days=back) for back in range(days - 1, -1, -1)]


def parse_day(text: str) -> date:
    """Parse ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date {text!r} is not a day: write it as YYYY-MM-DD, for example 2026-11-20") from None


def partition_key(night: RunKey, default_source: str) -> str:
    """Return the Airflow partition key: the bare day for the shop's own source, ``source|day`` for any other."""
    return night.ds.isoformat() if night.source == default_source else f"{night.source}|{night.ds.isoformat()}"


def parse_partition_key(key: str, default_source: str) -> RunKey:
    """Return the night that a partition key names. Inverse of `partition_key`."""
    source, _, day = key.rpartition("|")
    return RunKey(source or default_source, parse_day(day))
