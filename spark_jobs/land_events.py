"""Lands events: every record under the day it happened, with the day it was delivered beside it."""

from datetime import date

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.intake.landing import Landing
from pipeline_tasks.intake.source_contract import Source
from pipeline_tasks.intake.source_files import SourceFile, day_pattern, find_files, fingerprint, full_pattern
from pipeline_tasks.night import Night
from spark_jobs.land_records import numbered, only_records, read_failures, write_landing
from spark_jobs.map_events import TIME, with_event_time
from spark_jobs.read_records import SOURCE_FILE, read_records


def land_events(spark: SparkSession, source: Source, night: Night, window_days: int, landing: Landing) -> None:
    """Land the deliveries of the window that are new or changed.

    Raises:
        FileNotFoundError: the night's own files are missing.
        SourceError: an expression or a file does not fit; the message names it.
    """
    pattern = full_pattern(source.path, source.events.path)
    found = {day: find_files(pattern, day) for day in night.window(window_days)}
    _require(found, source, night, pattern)
    marks = {day: fingerprint(files, _reading(source)) for day, files in found.items() if files}
    known = landing.ledger().deliveries
    stale = {day: mark for day, mark in marks.items() if day not in known or known[day].fingerprint != mark}
    if not stale:
        print(f"land events {night.source} {night.ds}: {len(marks)} deliveries unchanged")
        return
    paths = sorted({file.path for day in stale for file in found[day]})
    undated_known = any(known[day].fingerprint == marks[day] for day in known if day in marks)
    with read_failures(paths):
        raw = read_records(spark, source.events, paths, "events")
        counts = Observation("events")
        records = only_records(raw, source.events, counts, "events")
        placed = _place(records, source, night, sorted(stale), "{ds}" in pattern, undated_known)
        write_landing(placed, incoming := landing.incoming())
    landing.take_in(incoming, stale)
    print(f"land events {night.source} {night.ds}: {len(stale)} of {len(found)} deliveries, {counts.get}")


def _require(found: dict[date, list[SourceFile]], source: Source, night: Night, pattern: str) -> None:
    if not found[night.ds]:
        wanted = pattern.replace("{ds}", night.ds.isoformat())
        raise FileNotFoundError(
            f"No events of {source.name} for {night.ds}: no file fits {wanted}; deliver it, or correct events.path or "
            f"--source-path. Where to get it: {source.get or 'the TOML does not say (get = …)'}"
        )
    missing = [day.isoformat() for day, files in found.items() if not files]
    if missing:
        print(f"land events: no delivery for {len(missing)} earlier days: {', '.join(missing)}")


def _reading(source: Source) -> str:
    form = source.events
    rules = source.rules
    return f"{form.model_dump_json(exclude={'columns'})} {form.columns.ts} {rules.earliest} {rules.late_days}"


def _place(
    records: DataFrame, source: Source, night: Night, stale: list[date], dated: bool, undated_known: bool
) -> DataFrame:
    """Add ds and arrived. A record whose time cannot be (none, too early, later than its delivery) stays with the
    delivery's day, where cleaning refuses it; without a day of delivery that is the night's own day, once."""
    timed = with_event_time(records, source)
    happened = F.to_date(TIME)
    impossible = happened.isNull() | (happened < F.lit(source.rules.earliest))
    if dated:
        arrived = F.to_date(F.regexp_extract(SOURCE_FILE, day_pattern(source.events.path), 1))
        late = F.date_sub(arrived, source.rules.late_days)
        impossible = impossible | (happened > arrived) | (happened < late)
        return numbered(timed, F.when(~impossible, happened).otherwise(arrived), arrived)
    ds: Column = F.when(~impossible, happened).otherwise(F.lit(None if undated_known else night.ds).cast("date"))
    return numbered(timed.where(ds.isin(stale)), ds, ds)
