"""Lands events: every record under the day it happened, with the day it was delivered beside it.

A record later than the night is landed too, and waits for the night of its own day. `rules.waiting_days` limits by how
many days a record may be later than its file; beyond, its time is impossible.
"""

from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing
from pipeline_tasks.sources.source_files import SourceFile, day_pattern, find_days, fingerprint, full_pattern
from pipeline_tasks.sources.window_choice import delivered_window, is_dated
from spark_jobs.cleaning.map_events import TIME
from spark_jobs.landing.event_days import day_of, possible_day
from spark_jobs.landing.event_files import reading, require_files, waiting_note, write_events
from spark_jobs.landing.land_records import numbered, with_record_id
from spark_jobs.landing.land_undated_files import land_undated_files
from spark_jobs.landing.read_records import SOURCE_FILE


def land_events(spark: SparkSession, source: Source, run: RunKey, window_days: int, landing: Landing) -> None:
    """Land the deliveries of the window that are new or changed; of files that do not name their day, all days.

    With `window_days` 0 the window is what `window_choice` says.

    Raises:
        FileNotFoundError: the night's own files are missing.
        SourceError: an expression or a file does not fit, or every record is later than the night; the message says so.
    """
    if is_dated(source):
        _land_dated_files(spark, source, run, delivered_window(window_days), landing)
    else:
        land_undated_files(spark, source, run, landing)


def _land_dated_files(spark: SparkSession, source: Source, run: RunKey, window_days: int, landing: Landing) -> None:
    pattern = full_pattern(source.path, source.events.path)
    found = find_days(pattern, run.window(window_days))
    ledger = landing.ledger()
    require_files(found, source, run, pattern, ledger)
    marks = {day: fingerprint(files, reading(source)) for day, files in found.items() if files}
    known = ledger.deliveries
    stale = {day: mark for day, mark in marks.items() if day not in known or known[day].fingerprint != mark}
    if not stale:
        print(f"land events {run.source} {run.ds}: {len(marks)} deliveries unchanged")
        return
    counts = _write(spark, source, stale, found, incoming := landing.incoming())
    landing.take_in(incoming, stale)
    waiting = waiting_note(landing.ledger(), run)
    print(f"land events {run.source} {run.ds}: {len(stale)} of {len(found)} deliveries, {counts}{waiting}")


def _write(
    spark: SparkSession,
    source: Source,
    stale: dict[date, str],
    found: dict[date, list[SourceFile]],
    incoming: Path,
) -> dict[str, Any]:
    paths = sorted({file.path for day in stale for file in found[day]})
    return write_events(spark, source, paths, incoming, lambda timed: _placed(timed, source))


def _placed(timed: DataFrame, source: Source) -> DataFrame:
    """Add ds and arrived. A record whose time is impossible stays with its file's day, where cleaning refuses it."""
    arrived = F.to_date(F.regexp_extract(SOURCE_FILE, day_pattern(source.events.path), 1))
    own = possible_day(day_of(TIME, source.timezone), source.rules, arrived)
    timely = own >= F.date_sub(arrived, source.rules.late_days)
    return numbered(with_record_id(timed), F.when(timely, own).otherwise(arrived), arrived)
