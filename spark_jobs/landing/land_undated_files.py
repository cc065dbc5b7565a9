"""Lands files that do not name their day: one file of many days, as a rule one that grows.

A record without a day of its own (no time, or an impossible one) is booked under the night that first landed it, and
stays there: when the file is landed again, it is found among the records that were booked so before.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.local_days import day_at
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing, Ledger, arrivals
from pipeline_tasks.sources.source_files import SourceFile, find_files, fingerprint, full_pattern
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.cleaning.map_events import RECORD, TIME
from spark_jobs.landing.event_days import day_of, possible_day
from spark_jobs.landing.event_files import reading, require_files, waiting_note, write_events
from spark_jobs.landing.land_records import UNDATED, numbered, with_record_id

_BOOKED: Final = "_booked"
"""Name of the day under which a record without a day of its own was booked before."""


def land_undated_files(spark: SparkSession, source: Source, run: RunKey, landing: Landing) -> None:
    """Land all days of the files, apart from those landed from them before.

    Raises:
        FileNotFoundError: there are no files.
        SourceError: an expression or a file does not fit, or every record is later than the night; the message says so.
    """
    pattern, ledger = full_pattern(source.path, source.events.path), landing.ledger()
    files = find_files(pattern, run.ds)
    require_files({run.ds: files}, source, run, pattern, ledger)
    file_day = max(_last_change(files, source.timezone), run.ds)
    mark = fingerprint(files, reading(source), str(file_day), "all days")
    same = {day for day, delivery in ledger.deliveries.items() if delivery.fingerprint == mark}
    if same and len(same) == len(ledger.deliveries):
        print(f"land events {run.source} {run.ds}: the file is unchanged")
        return
    times, booked = Observation("times"), _booked_before(spark, landing, ledger)

    def placed(timed: DataFrame) -> DataFrame:
        happened = day_of(TIME, source.timezone)
        own = possible_day(happened, source.rules, file_day)
        return _placed(timed.observe(times, *_counts(happened, own, run)), own, booked, run, same)

    counts = write_events(spark, source, [file.path for file in files], incoming := landing.incoming(), placed)
    counts |= times.get
    _require_some(counts, ledger, run)
    landed = {*ledger.deliveries, *arrivals(incoming)} - same
    landing.take_in(incoming, dict.fromkeys(sorted(landed), mark), _undated_days(incoming))
    print(f"land events {run.source} {run.ds}: {counts}{waiting_note(landing.ledger(), run)}")


def _placed(timed: DataFrame, own: Column, booked: DataFrame | None, run: RunKey, same: Collection[date]) -> DataFrame:
    """Add ds, arrived and `_undated`, and leave out the days that were landed from these very files before."""
    identified = with_record_id(timed)
    before = F.lit(None).cast("date")
    if booked is not None:
        identified, before = identified.join(booked, RECORD, "left"), F.col(_BOOKED)
    ds = F.coalesce(own, before, F.lit(run.ds))
    placed = numbered(identified.where(~ds.isin(sorted(same))), ds, ds, own.isNull().alias(UNDATED))
    return placed.drop(_BOOKED)


def _counts(happened: Column, own: Column, run: RunKey) -> Sequence[Column]:
    return (
        F.count_if(own <= F.lit(run.ds)).alias("by_the_night"),
        F.count_if(happened > F.lit(run.ds)).alias("after_the_night"),
        F.min(happened).cast("string").alias("first_day"),
        F.max(happened).cast("string").alias("last_day"),
    )


def _require_some(counts: dict[str, Any], ledger: Ledger, run: RunKey) -> None:
    before = any(day <= run.ds for day in ledger.days())
    if counts["after_the_night"] and not counts["by_the_night"] and not before:
        raise SourceError(
            f"No event of {run.source} happened by {run.ds}: the days of the file are {counts['first_day']} to "
            f"{counts['last_day']}. Run one of them (--date), or correct events.columns.ts if they are wrong: "
            f"timestamp_seconds(…) reads seconds, timestamp_millis(…) thousandths"
        )


def _last_change(files: Sequence[SourceFile], zone: str | None) -> date:
    """Return the day of the files' last change; the earliest of all days where their store does not tell it."""
    times = [int(file.changed) for file in files if file.changed.isdigit()]
    return day_at(datetime.fromtimestamp(max(times) // 1_000_000_000, UTC), zone) if times else date.min


def _booked_before(spark: SparkSession, landing: Landing, ledger: Ledger) -> DataFrame | None:
    """Return (_record_id, _booked) of the records that were landed without a day of their own; None for none."""
    # A day without a fingerprint lacks files, and is about to be landed again.
    whole = [day for day in ledger.undated if (told := ledger.deliveries.get(day)) is not None and told.fingerprint]
    files = landing.files(whole, ledger)
    if not files:
        return None
    landed = spark.read.schema(f"{RECORD} long, {UNDATED} boolean, ds date").option("basePath", str(landing.folder))
    return landed.parquet(*files).where(UNDATED).groupBy(RECORD).agg(F.min("ds").alias(_BOOKED))


def _undated_days(incoming: Path) -> list[date]:
    """Return the days below `incoming` that hold records without a day of their own."""
    if not any(incoming.glob("ds=*/arrived=*/*.parquet")):
        return []
    # Imported here for the reason that `landing` names.
    import duckdb

    query = f"SELECT DISTINCT ds::DATE FROM read_parquet(?, hive_partitioning = true) WHERE {UNDATED}"
    with duckdb.connect() as connection:
        found = connection.execute(query, [f"{incoming}/ds=*/arrived=*/*.parquet"]).fetchall()
    return sorted(day for (day,) in found)
