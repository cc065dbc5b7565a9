"""How many days of events a night prepares where nobody says so: what the log itself asks for."""

from typing import Final

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import DELIVERED_DAYS, RunKey
from pipeline_tasks.sources.landing import Ledger

MOST_EVENTS: Final = 20_000_000
"""Of a file of many days, the latest so many records: as many as cleaning was measured with."""
WINDOW_HELP: Final = f"days up to the night; 0: all of a file of many days, else {DELIVERED_DAYS}"


def is_dated(source: Source) -> bool:
    """Whether the files of the source's events name their day of delivery."""
    return "{ds}" in source.events.path


def delivered_window(asked: int) -> int:
    """Return the days of a window whose deliveries come day by day; `asked` is 0 where nobody says."""
    return asked or DELIVERED_DAYS


def landed_window(source: Source, ledger: Ledger, night: RunKey, asked: int) -> int:
    """Return the days that end with the night: `asked`, else all that a file of many days holds, else `DELIVERED_DAYS`.

    Of a file of many days only the latest `MOST_EVENTS` records, in whole days; `ledger` is that of the events.
    """
    if asked or is_dated(source):
        return delivered_window(asked)
    first, seen = night.ds, 0
    for day in reversed([day for day in ledger.days() if day <= night.ds]):
        seen += ledger.rows(day)
        if seen > MOST_EVENTS:
            break
        first = day
    return max((night.ds - first).days + 1, DELIVERED_DAYS)


def cleaned_window(lake: Lake, night: RunKey, asked: int) -> int:
    """Return the days that end with the night: `asked`, else those that cleaning chose for it.

    Raises:
        ValueError: the night was never cleaned.
    """
    if asked:
        return asked
    for facts in lake.history("items"):
        if facts.get("night") == str(night.ds):
            return int(facts["window_days"])
    raise ValueError(
        f"The window of {night.source} {night.ds} is not known, as that night was never cleaned: run clean_behavior "
        f"for it first, or name the window (--window-days)"
    )
