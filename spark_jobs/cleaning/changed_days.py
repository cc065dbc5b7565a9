"""Tells which days must be cleaned: those whose records, rules or mapping differ from what the lake was made from."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Final, get_args

import pyarrow.parquet as pq
from pyarrow import fs

from pipeline_tasks.config.settings import CleaningSettings
from pipeline_tasks.config.source_toml import Rule, Source
from pipeline_tasks.failure_messages import DamagedFileError, day_of_file
from pipeline_tasks.lake.damaged_files import parquet_failures
from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.sources.landing import Kind
from spark_jobs.landing.landing_reader import LandingReader

CLEANING_VERSION: Final = "2"
"""Raise it when cleaning itself changes: every day is then stale."""

_CATALOGS: tuple[Kind, ...] = ("items", "users")


def chosen_rules(source: Source, chosen: str | None) -> list[str]:
    """Return the rules that are on: the source's, or the comma-separated `chosen`.

    Raises:
        ValueError: a chosen rule does not exist.
    """
    if chosen is None:
        return sorted(source.rules.on)
    names = sorted({name.strip() for name in chosen.split(",") if name.strip()})
    unknown = [name for name in names if name not in get_args(Rule)]
    if unknown:
        raise ValueError(f"rules {', '.join(unknown)} do not exist: choose among {', '.join(get_args(Rule))}")
    return names


def changed_days(
    landed: LandingReader, lake: Lake, window: Sequence[date], active_rules: Sequence[str], limits: CleaningSettings
) -> dict[date, str]:
    """Return the days of the window (in order) to clean, each with the fingerprint of what it will be made from."""
    rows = lake.read("reconciliation", (window[0], window[-1]), ("ds", "fingerprint"))
    recorded = set(zip(rows["ds"].to_pylist(), rows["fingerprint"].to_pylist(), strict=True))
    method = cleaning_method(landed.source, active_rules, limits)
    fingerprints = {day: day_fingerprint(landed, day, method) for day in window}
    damaged = _damaged_days(lake, window)
    # What is landed no more cannot be cleaned again: the file is named where it is read.
    damaged_again = {day for day in damaged if landed.ledgers["events"].rows(day)}
    return {
        day: fingerprint
        for day, fingerprint in fingerprints.items()
        if (day, fingerprint) not in recorded or day in damaged_again
    }


def _damaged_days(lake: Lake, window: Sequence[date]) -> set[date]:
    """Return the days of which a published file of events or quarantine has no readable footer, or is gone.

    Each such file is named in the log.

    Files of this machine alone: a footer of an object store is 50 ms away, and the store checks its own bytes.
    """
    files = [file for name in ("events", "quarantine") for file in lake.files(name, (window[0], window[-1]))]
    if not files or not isinstance(file_location(files[0])[0], fs.LocalFileSystem):
        return set()
    days = set()
    for file in files:
        system, path = file_location(file)
        try:
            with parquet_failures(path):
                pq.read_metadata(path, filesystem=system)
        except DamagedFileError as error:
            print(f"WARNING damaged file of a day that is cleaned again where it is still landed: {error}")
            days.add(day_of_file(file))
    return days


def cleaning_method(source: Source, active_rules: Sequence[str], limits: CleaningSettings) -> str:
    """Return all that decides how a landed day becomes a cleaned one."""
    return " ".join(
        [
            CLEANING_VERSION,
            ",".join(active_rules),
            limits.model_dump_json(),
            source.events.columns.model_dump_json(),
            source.rules.model_dump_json(exclude={"on", "waiting_days"}),
            # Left out where it is not set: the days of a source without one are not cleaned again for it.
            *([source.timezone] if source.timezone else []),
            *([source.decimal] if source.decimal else []),
            *([source.currencies.model_dump_json()] if source.currencies else []),
        ]
    )


def day_fingerprint(landed: LandingReader, day: date, method: str) -> str:
    """Return a hash of what a landed day is cleaned from, and how."""
    parts = [landed.ledgers["events"].content(day), method]
    # A catalog's refused records are quarantined with the day of the catalog.
    parts += [landed.ledgers[kind].content(day) for kind in _CATALOGS if landed.ledgers[kind].rows(day)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
