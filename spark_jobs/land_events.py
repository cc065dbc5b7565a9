"""Lands events: every record under the day it happened, with the day it was delivered beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.intake.landing import Landing, arrivals
from pipeline_tasks.intake.source_contract import Source
from pipeline_tasks.intake.source_files import SourceFile, day_pattern, find_days, find_files, fingerprint, full_pattern
from pipeline_tasks.intake.sources import SourceError
from pipeline_tasks.intake.window_choice import delivered_window, is_dated
from pipeline_tasks.night import Night
from spark_jobs.land_records import numbered, only_records, write_landing
from spark_jobs.map_events import TIME, with_event_time
from spark_jobs.read_failures import read_failures
from spark_jobs.read_records import SOURCE_FILE, read_records


def land_events(spark: SparkSession, source: Source, night: Night, window_days: int, landing: Landing) -> None:
    """Land the deliveries of the window that are new or changed; with `window_days` 0 what `window_choice` says.

    Raises:
        FileNotFoundError: the night's own files are missing.
        SourceError: an expression or a file does not fit, or every record is later than the night; the message says so.
    """
    if window_days or is_dated(source):
        _land_window(spark, source, night, delivered_window(window_days), landing)
    else:
        _land_whole(spark, source, night, landing)


def _land_window(spark: SparkSession, source: Source, night: Night, window_days: int, landing: Landing) -> None:
    pattern = full_pattern(source.path, source.events.path)
    found = find_days(pattern, night.window(window_days))
    _require(found, source, night, pattern)
    marks = {day: fingerprint(files, _reading(source)) for day, files in found.items() if files}
    known = landing.ledger().deliveries
    stale = {day: mark for day, mark in marks.items() if day not in known or known[day].fingerprint != mark}
    if not stale:
        print(f"land events {night.source} {night.ds}: {len(marks)} deliveries unchanged")
        return
    told = any(known[day].fingerprint == marks[day] for day in known if day in marks)
    chosen = _Chosen(sorted({file.path for day in stale for file in found[day]}), told, lambda ds: ds.isin([*stale]))
    counts = _write(spark, source, night, chosen, incoming := landing.incoming())
    landing.take_in(incoming, stale)
    print(f"land events {night.source} {night.ds}: {len(stale)} of {len(found)} deliveries, {counts}")


def _land_whole(spark: SparkSession, source: Source, night: Night, landing: Landing) -> None:
    """Land every day up to the night of a file of many days, those apart that were landed from the same file."""
    pattern = full_pattern(source.path, source.events.path)
    files = find_files(pattern, night.ds)
    _require({night.ds: files}, source, night, pattern)
    mark, ledger = fingerprint(files, _reading(source)), landing.ledger()
    same = {day for day, delivery in ledger.deliveries.items() if delivery.fingerprint == mark}
    if ledger.whole == mark and same.issuperset(_days_since(min(ledger.deliveries), night)):
        print(f"land events {night.source} {night.ds}: the file is unchanged")
        return
    chosen = _Chosen(
        [file.path for file in files], bool(same), lambda ds: (ds <= F.lit(night.ds)) & ~ds.isin(sorted(same))
    )
    counts = _write(spark, source, night, chosen, incoming := landing.incoming())
    _require_some(counts, [*arrivals(incoming), *ledger.days()], night)
    first = min([*arrivals(incoming), *ledger.deliveries, night.ds])
    landing.take_in(incoming, {day: mark for day in _days_since(first, night) if day not in same}, whole=mark)
    print(f"land events {night.source} {night.ds}: every day since {first}, {counts}")


def _require_some(counts: dict[str, Any], landed: list[date], night: Night) -> None:
    if counts["after_the_night"] and not landed:
        raise SourceError(
            f"No event of {night.source} happened by {night.ds}: the days of the file are {counts['first_day']} to "
            f"{counts['last_day']}. Run one of them (--date), or correct events.columns.ts if they are wrong: "
            f"timestamp_seconds(…) reads seconds, timestamp_millis(…) thousandths"
        )


def _days_since(first: date, night: Night) -> list[date]:
    return night.window((night.ds - first).days + 1)


@dataclass(frozen=True)
class _Chosen:
    """What to read, and which of its records to land."""

    paths: list[str]
    told: bool
    """Whether records of an impossible time were landed before, where files do not name their day."""
    wanted: Callable[[Column], Column]
    """Of the day of a record, where files do not name theirs."""


def _write(spark: SparkSession, source: Source, night: Night, chosen: _Chosen, incoming: Path) -> dict[str, Any]:
    """Write the chosen records below `incoming`; return how many rows were read and left out."""
    with read_failures(chosen.paths):
        raw = read_records(spark, source.events, chosen.paths, "events")
        counts = Observation("events")
        records = only_records(raw, source.events, counts, "events")
        placed, times = _place(records, source, night, chosen)
        write_landing(placed, incoming)
    return counts.get | (times.get if times else {})


def _require(found: dict[date, list[SourceFile]], source: Source, night: Night, pattern: str) -> None:
    if not found[night.ds]:
        wanted = pattern.replace("{ds}", night.ds.isoformat())
        raise FileNotFoundError(
            f"No events of {source.name} for {night.ds}: no file fits {wanted}; deliver it, or correct events.path or "
            f"--source-path. Where to get it: {source.where_to_get}"
        )
    missing = [day.isoformat() for day, files in found.items() if not files]
    if missing:
        print(f"land events: no delivery for {len(missing)} earlier days: {', '.join(missing)}")


def _reading(source: Source) -> str:
    form = source.events
    rules = source.rules
    return f"{form.model_dump_json(exclude={'columns'})} {form.columns.ts} {rules.earliest} {rules.late_days}"


def _place(records: DataFrame, source: Source, night: Night, chosen: _Chosen) -> tuple[DataFrame, Observation | None]:
    """Add ds and arrived. A record whose time cannot be (none, too early, later than its delivery) stays with the
    delivery's day, where cleaning refuses it; without a day of delivery that is the night's own day, once, and a record
    later than the night waits for its own: what is returned beside the records tells how many do."""
    timed = with_event_time(records, source)
    happened = F.to_date(TIME)
    impossible = happened.isNull() | (happened < F.lit(source.rules.earliest))
    if is_dated(source):
        arrived = F.to_date(F.regexp_extract(SOURCE_FILE, day_pattern(source.events.path), 1))
        late = F.date_sub(arrived, source.rules.late_days)
        impossible = impossible | (happened > arrived) | (happened < late)
        return numbered(timed, F.when(~impossible, happened).otherwise(arrived), arrived), None
    ds: Column = F.when(~impossible, happened).otherwise(F.lit(None if chosen.told else night.ds).cast("date"))
    times = Observation("times")
    seen = timed.observe(
        times,
        F.count_if(happened > F.lit(night.ds)).alias("after_the_night"),
        F.min(happened).cast("string").alias("first_day"),
        F.max(happened).cast("string").alias("last_day"),
    )
    return numbered(seen.where(chosen.wanted(ds)), ds, ds), times
