"""Chooses from the log how many days of events a run prepares, unless the window is set."""

from typing import Final

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import DEFAULT_WINDOW_DAYS, RunKey
from pipeline_tasks.sources.landing import Ledger

MOST_EVENTS: Final = 20_000_000
"""Most records of a file of many days that the window holds, the latest ones. Cleaning was measured with as many."""
WINDOW_HELP: Final = f"days up to the date of the run; 0: all of a file of many days, else {DEFAULT_WINDOW_DAYS}"


def is_dated(source: Source) -> bool:
    """Return whether the files of the source's events name their day of delivery."""
    return "{ds}" in source.events.path


def delivered_window(window_days: int) -> int:
    """Return the length in days of a window over daily deliveries; `window_days` is 0 where none is set."""
    return window_days or DEFAULT_WINDOW_DAYS


def landed_window(source: Source, ledger: Ledger, run_key: RunKey, window_days: int) -> int:
    """Return the length in days of the window that ends with the run's date.

    It is `window_days` where that is set. Else it is `DEFAULT_WINDOW_DAYS`, or longer for a file of many days: as many
    whole days as hold the latest `MOST_EVENTS` records. `ledger` is that of the events.
    """
    if window_days or is_dated(source):
        return delivered_window(window_days)
    first, seen = run_key.ds, 0
    for day in reversed([day for day in ledger.days() if day <= run_key.ds]):
        seen += ledger.rows(day)
        if seen > MOST_EVENTS:
            break
        first = day
    return max((run_key.ds - first).days + 1, DEFAULT_WINDOW_DAYS)


def cleaned_window(lake: Lake, run_key: RunKey, window_days: int) -> int:
    """Return the length in days of the window that ends with the run's date.

    It is `window_days` where that is set, else the length that cleaning chose.

    Raises:
        ValueError: the run was never cleaned.
    """
    if window_days:
        return window_days
    for facts in lake.history("items"):
        if facts.get("night") == str(run_key.ds):
            return int(facts["window_days"])
    raise ValueError(
        f"The window of {run_key.source} {run_key.ds} is unknown, because that day was never cleaned: run "
        f"clean_behavior for it first, or set the window (--window-days)"
    )
