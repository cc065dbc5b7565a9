"""Finds the days to clean: those whose landed records, rules or mapping changed since they were cleaned."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Final, get_args

import pyarrow.parquet as pq
from pyarrow import fs

from pipeline_tasks.config.settings import CleaningSettings
from pipeline_tasks.config.source_toml import Rule, Source
from pipeline_tasks.errors import DamagedFileError, day_of_file
from pipeline_tasks.lake.files import damaged_parquet_errors, file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.sources.landing import Kind
from spark_jobs.landing.landing_reader import LandingReader

CLEANING_VERSION: Final = "2"
"""Raise it when the code of cleaning changes; every day is then cleaned again."""

_CATALOGS: tuple[Kind, ...] = ("items", "users")


def active_rule_names(source: Source, chosen: str | None) -> list[str]:
    """Return the active rules: the comma-separated `chosen`, or by default those of the source.

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
    """Return the days of the window to clean, in order, each with the fingerprint of its inputs.

    A day with a damaged published file is cleaned again.
    """
    rows = lake.read("reconciliation", (window[0], window[-1]), ("ds", "fingerprint"))
    recorded = set(zip(rows["ds"].to_pylist(), rows["fingerprint"].to_pylist(), strict=True))
    method = cleaning_method(landed.source, active_rules, limits)
    fingerprints = {day: day_fingerprint(landed, day, method) for day in window}
    damaged = _damaged_days(lake, window)
    # A day that is no longer landed cannot be cleaned again; the error names the file when it is read.
    repairable = {day for day in damaged if landed.ledgers["events"].rows(day)}
    return {
        day: fingerprint
        for day, fingerprint in fingerprints.items()
        if (day, fingerprint) not in recorded or day in repairable
    }


def _damaged_days(lake: Lake, window: Sequence[date]) -> set[date]:
    """Return the days with a published file of events or quarantine that is missing or has no readable footer.

    Prints each such file. Only files on a local disk are checked: an object store takes 50 ms per footer, and checks
    its own bytes.
    """
    files = [file for name in ("events", "quarantine") for file in lake.files(name, (window[0], window[-1]))]
    if not files or not isinstance(file_location(files[0])[0], fs.LocalFileSystem):
        return set()
    days = set()
    for file in files:
        system, path = file_location(file)
        try:
            with damaged_parquet_errors(path):
                pq.read_metadata(path, filesystem=system)
        except DamagedFileError as error:
            print(f"WARNING damaged file of a day that is cleaned again where it is still landed: {error}")
            days.add(day_of_file(file))
    return days


def cleaning_method(source: Source, active_rules: Sequence[str], limits: CleaningSettings) -> str:
    """Return a text of every setting that determines how a landed day is cleaned."""
    return " ".join(
        [
            CLEANING_VERSION,
            ",".join(active_rules),
            limits.model_dump_json(),
            source.events.columns.model_dump_json(),
            source.rules.model_dump_json(exclude={"on", "waiting_days"}),
            # An optional setting is left out where it is not set, so that an upgrade does not change the fingerprint.
            *([source.timezone] if source.timezone else []),
            *([source.decimal] if source.decimal else []),
            *([source.currencies.model_dump_json()] if source.currencies else []),
        ]
    )


def day_fingerprint(landed: LandingReader, day: date, method: str) -> str:
    """Return a hash of the landed records of a day and of the method of cleaning."""
    parts = [landed.ledgers["events"].content(day), method]
    # The rejected records of a catalog are quarantined under the day of the catalog.
    parts += [landed.ledgers[kind].content(day) for kind in _CATALOGS if landed.ledgers[kind].rows(day)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
