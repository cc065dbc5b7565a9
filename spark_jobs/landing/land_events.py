"""Lands every event under the day on which it happened, with its day of delivery in `arrived`.

A record of a day after the run is landed too, and is cleaned by the run of its own day. `rules.waiting_days` limits by
how many days a record may be later than its file; a later time is impossible.

An undated record has no time, or an impossible one. It is landed under the day of the run that first landed it. When
the file is landed again, its record id finds that day, and the record stays there.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing, Ledger, arrivals
from pipeline_tasks.sources.source_files import (
    SourceFile,
    day_pattern,
    find_days,
    find_files,
    fingerprint,
    full_pattern,
)
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.sources.window_choice import delivered_window, is_dated
from pipeline_tasks.times import day_at
from spark_jobs.cleaning.map_events import RECORD, TIME
from spark_jobs.landing.event_days import day_of, possible_day
from spark_jobs.landing.event_files import landing_method, require_files, waiting_note, write_events
from spark_jobs.landing.land_records import UNDATED, add_record_id, add_row_numbers
from spark_jobs.landing.read_records import SOURCE_FILE

_PREVIOUS_DAY: Final = "_previous_day"
"""Column with the day under which an undated record was landed before."""


def land_undated_files(spark: SparkSession, source: Source, run: RunKey, landing: Landing) -> None:
    """Land all days of the files, except days that were landed from the same files before.

    Raises:
        FileNotFoundError: there are no files.
        SourceError: an expression or a file is invalid, or every record is of a day after the run.
    """
    pattern, ledger = full_pattern(source.path, source.events.path), landing.ledger()
    files = find_files(pattern, run.ds)
    require_files({run.ds: files}, source, run, pattern, ledger)
    file_day = max(_last_change(files, source.timezone), run.ds)
    files_fingerprint = fingerprint(files, landing_method(source), str(file_day), "all days")
    unchanged = {day for day, delivery in ledger.deliveries.items() if delivery.fingerprint == files_fingerprint}
    if unchanged and len(unchanged) == len(ledger.deliveries):
        print(f"land events {run.source} {run.ds}: the file is unchanged")
        return
    times, previous_days = Observation("times"), _previous_days(spark, landing, ledger)

    def with_days(timed: DataFrame) -> DataFrame:
        happened = day_of(TIME, source.timezone)
        event_day = possible_day(happened, source.rules, file_day)
        return _add_undated_days(
            timed.observe(times, *_counts(happened, event_day, run)), event_day, previous_days, run, unchanged
        )

    counts = write_events(spark, source, [file.path for file in files], incoming := landing.incoming(), with_days)
    counts |= times.get
    _require_some(counts, ledger, run)
    landed = {*ledger.deliveries, *arrivals(incoming)} - unchanged
    landing.take_in(incoming, dict.fromkeys(sorted(landed), files_fingerprint), _undated_days(incoming))
    print(f"land events {run.source} {run.ds}: {counts}{waiting_note(landing.ledger(), run)}")


def _add_undated_days(
    timed: DataFrame, event_day: Column, previous_days: DataFrame | None, run: RunKey, unchanged: Collection[date]
) -> DataFrame:
    """Add ds, arrived and `_undated`, and leave out the days that were landed from the same files before."""
    identified = add_record_id(timed)
    previous_day = F.lit(None).cast("date")
    if previous_days is not None:
        identified, previous_day = identified.join(previous_days, RECORD, "left"), F.col(_PREVIOUS_DAY)
    ds = F.coalesce(event_day, previous_day, F.lit(run.ds))
    with_days = add_row_numbers(
        identified.where(~ds.isin(sorted(unchanged))), ds, ds, event_day.isNull().alias(UNDATED)
    )
    return with_days.drop(_PREVIOUS_DAY)


def _counts(happened: Column, event_day: Column, run: RunKey) -> Sequence[Column]:
    return (
        F.count_if(event_day <= F.lit(run.ds)).alias("up_to_run_date"),
        F.count_if(happened > F.lit(run.ds)).alias("after_run_date"),
        F.min(happened).cast("string").alias("first_day"),
        F.max(happened).cast("string").alias("last_day"),
    )


def _require_some(counts: dict[str, Any], ledger: Ledger, run: RunKey) -> None:
    has_earlier = any(day <= run.ds for day in ledger.days())
    if counts["after_run_date"] and not counts["up_to_run_date"] and not has_earlier:
        raise SourceError(
            f"No event of {run.source} happened by {run.ds}: the days of the file are {counts['first_day']} to "
            f"{counts['last_day']}. Run one of them (--date), or correct events.columns.ts if they are wrong: "
            f"timestamp_seconds(…) reads seconds, timestamp_millis(…) thousandths"
        )


def _last_change(files: Sequence[SourceFile], zone: str | None) -> date:
    """Return the day of the latest change of the files, `date.min` where their store records none."""
    times = [int(file.changed) for file in files if file.changed.isdigit()]
    return day_at(datetime.fromtimestamp(max(times) // 1_000_000_000, UTC), zone) if times else date.min


def _previous_days(spark: SparkSession, landing: Landing, ledger: Ledger) -> DataFrame | None:
    """Return (_record_id, _previous_day) of the landed undated records, None where there are none."""
    # A day without a fingerprint lacks files, and is landed again now.
    complete = [
        day for day in ledger.undated if (delivery := ledger.deliveries.get(day)) is not None and delivery.fingerprint
    ]
    files = landing.files(complete, ledger)
    if not files:
        return None
    landed = spark.read.schema(f"{RECORD} long, {UNDATED} boolean, ds date").option("basePath", str(landing.folder))
    return landed.parquet(*files).where(UNDATED).groupBy(RECORD).agg(F.min("ds").alias(_PREVIOUS_DAY))


def _undated_days(incoming: Path) -> list[date]:
    """Return the days below `incoming` with undated records."""
    if not any(incoming.glob("ds=*/arrived=*/*.parquet")):
        return []
    # Imported here for the reason that `pipeline_tasks.sources.landing` gives.
    import duckdb

    query = f"SELECT DISTINCT ds::DATE FROM read_parquet(?, hive_partitioning = true) WHERE {UNDATED}"
    with duckdb.connect() as connection:
        found = connection.execute(query, [f"{incoming}/ds=*/arrived=*/*.parquet"]).fetchall()
    return sorted(day for (day,) in found)


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
