"""Lands every event under the day on which it happened, with its day of delivery in `arrived`.

A record of a day after the run is landed too, and is cleaned by the run of its own day. `rules.waiting_days` limits by
how many days a record may be later than its file; a later time is impossible.
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
from spark_jobs.landing.event_files import landing_method, require_files, waiting_note, write_events
from spark_jobs.landing.land_records import add_record_id, add_row_numbers
from spark_jobs.landing.land_undated_files import land_undated_files
from spark_jobs.landing.read_records import SOURCE_FILE


def land_events(spark: SparkSession, source: Source, run: RunKey, window_days: int, landing: Landing) -> None:
    """Land the new or changed deliveries of the window, or all days of files without a day in their path.

    With `window_days` 0, `window_choice` determines the window.

    Raises:
        FileNotFoundError: the files of the day of the run are missing.
        SourceError: an expression or a file is invalid, or every record is of a day after the run.
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
    fingerprints = {day: fingerprint(files, landing_method(source)) for day, files in found.items() if files}
    landed = ledger.deliveries
    changed = {day: one for day, one in fingerprints.items() if day not in landed or landed[day].fingerprint != one}
    if not changed:
        print(f"land events {run.source} {run.ds}: {len(fingerprints)} deliveries unchanged")
        return
    counts = _write(spark, source, changed, found, incoming := landing.incoming())
    landing.take_in(incoming, changed)
    waiting = waiting_note(landing.ledger(), run)
    print(f"land events {run.source} {run.ds}: {len(changed)} of {len(found)} deliveries, {counts}{waiting}")


def _write(
    spark: SparkSession,
    source: Source,
    changed: dict[date, str],
    found: dict[date, list[SourceFile]],
    incoming: Path,
) -> dict[str, Any]:
    paths = sorted({file.path for day in changed for file in found[day]})
    return write_events(spark, source, paths, incoming, lambda timed: _add_days(timed, source))


def _add_days(timed: DataFrame, source: Source) -> DataFrame:
    """Add ds and arrived. A record with an impossible time gets the day of its file, where cleaning rejects it."""
    arrived = F.to_date(F.regexp_extract(SOURCE_FILE, day_pattern(source.events.path), 1))
    event_day = possible_day(day_of(TIME, source.timezone), source.rules, arrived)
    is_timely = event_day >= F.date_sub(arrived, source.rules.late_days)
    return add_row_numbers(add_record_id(timed), F.when(is_timely, event_day).otherwise(arrived), arrived)
