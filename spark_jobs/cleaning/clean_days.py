"""Cleans whole days of landed events into events, quarantine and reconciliation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import CleaningSettings, settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.sources.erased import read_erased_users
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.cleaning.cleaning_rules import (
    COPY,
    DUPLICATES,
    RAW,
    RULE,
    apply_rules,
    detail,
    find_rejected_rows,
    normalize_values,
    quarantine_rows,
    raw_text,
)
from spark_jobs.cleaning.erased_users import ERASED, mark_erased, mark_named
from spark_jobs.cleaning.map_events import RECORD, ROW, map_events
from spark_jobs.cleaning.rejected_catalog import CatalogRejections
from spark_jobs.common.connect_frames import persisted
from spark_jobs.common.stage_table import rows_by_day, stage_tables
from spark_jobs.landing.landing_reader import LandingReader

Outcomes = Counter[tuple[date, str, str]]
"""Rows by day, outcome and rule."""


def clean_days(
    landed: LandingReader,
    lake: Lake,
    changed: Mapping[date, str],
    active_rules: Sequence[str],
    limits: CleaningSettings,
    catalogs: CatalogRejections,
) -> dict[str, StagedTable]:
    """Stage events, quarantine and reconciliation of the changed days.

    Args:
        changed: day -> fingerprint, from `changed_days`.
        catalogs: outcomes of the records of catalogs, which are counted with the events of their day.

    Raises:
        ValueError: the outcomes of a day do not add up to its landed rows.
    """
    days = sorted(changed)
    raw = landed.days("events", days)
    outcomes: Outcomes = Counter()
    tables = {name: StagedTable(days=days, files=[], rows=0) for name in ("events", "quarantine")}
    rows: dict[str, DataFrame] = {}
    quarantine = list(catalogs.quarantine)
    if raw is not None:
        marked, rejected = _apply(raw, landed, active_rules, limits)
        outcomes += _count(rejected)
        rows["events"] = _events(marked, rejected, active_rules)
        if any(outcome == "quarantine" for _, outcome, _ in outcomes):
            quarantine.append(_refused_events(raw, rejected, landed, active_rules, limits))
    if quarantine:
        # Without the hint every task writes a file for every day: 570 files of 109,131 rows took most of the time.
        # A shuffle delivers rows in any order; sorted, the files are the same when the day is cleaned again.
        all_quarantined = _union(quarantine).hint("rebalance", F.col("ds"))
        rows["quarantine"] = all_quarantined.sortWithinPartitions("ds", *TABLES["quarantine"].column_names)
    tables |= stage_tables(lake, rows, days, sum(landed.ledgers["events"].rows(day) for day in days))
    _add_staged(outcomes, tables, landed, changed, catalogs)
    files = lake.write_arrow("reconciliation", _reconciliation(outcomes, changed))
    tables["reconciliation"] = StagedTable(days=days, files=files, rows=len(outcomes))
    return tables


def _apply(
    raw: DataFrame, landed: LandingReader, active_rules: Sequence[str], limits: CleaningSettings
) -> tuple[DataFrame, DataFrame]:
    """Return the typed rows with the outcomes of their rules, and the rejected rows, persisted."""
    source = landed.source
    erased = read_erased_users(settings(), source.name)
    # Irregular ids are looked for in the tables of items and users (ADR 0006). A rejected record is in neither, and may
    # belong to an erased user.
    blanks_only = not landed.normalize and not erased
    typed = map_events(raw, source, blanks_only=blanks_only, compose=landed.normalize)
    marked = apply_rules(normalize_values(typed, active_rules), source.rules, active_rules, source.timezone)
    marked = mark_erased(marked, erased)
    rejected = find_rejected_rows(marked, active_rules, limits)
    return marked, persisted(mark_named(raw, rejected, erased, _is_refused()))


def _events(marked: DataFrame, rejected: DataFrame, active_rules: Sequence[str]) -> DataFrame:
    columns = TABLES["events"].column_names
    named = marked.withColumn("event_id", F.col(RECORD))
    if "exact_duplicates" in active_rules:
        return named.join(rejected.select(ROW), on=ROW, how="left_anti").select(*columns)
    found = named.drop(RULE).join(rejected.drop("ds"), on=ROW, how="left").where(F.col(RULE).isNull())
    copy_id = F.when(F.col(COPY) > 0, F.xxhash64("event_id", COPY)).otherwise(F.col("event_id"))
    return found.withColumn("event_id", copy_id).select(*columns)


def _refused_events(
    raw: DataFrame, rejected: DataFrame, landed: LandingReader, active_rules: Sequence[str], limits: CleaningSettings
) -> DataFrame:
    refused = rejected.where(_is_refused()).select(ROW, RULE)
    # Joined first, so that only rejected records are mapped again and written as text.
    records = raw.join(F.broadcast(refused), on=ROW, how="inner").select("*", raw_text(raw, limits.max_raw_characters))
    typed = normalize_values(
        map_events(records, landed.source, (RULE, RAW), compose=landed.normalize, explain=True), active_rules
    )
    return quarantine_rows(typed.select("*", detail().alias("detail")))


def _is_refused() -> Column:
    return ~F.col(RULE).isin(*DUPLICATES, ERASED)


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    all_rows = frames[0]
    for frame in frames[1:]:
        all_rows = all_rows.unionByName(frame)
    return all_rows


def _count(rejected: DataFrame) -> Outcomes:
    duplicate = F.when(F.col(RULE).isin(*DUPLICATES), "duplicate")
    outcome = duplicate.when(F.col(RULE) == ERASED, ERASED).otherwise("quarantine")
    rows = rejected.where(F.col(RULE).isNotNull()).groupBy("ds", outcome.alias("outcome"), RULE).count().collect()
    return Counter({(row["ds"], row["outcome"], row[RULE]): row["count"] for row in rows})


def _add_staged(
    outcomes: Outcomes,
    tables: Mapping[str, StagedTable],
    landed: LandingReader,
    changed: Mapping[date, str],
    catalogs: CatalogRejections,
) -> None:
    """Add the outcomes rows_in (counted by landing) and event (counted in the written files), and those of catalogs.

    Raises:
        ValueError: the outcomes of a day do not add up to its landed rows.
    """
    events, quarantine = rows_by_day(tables["events"]), rows_by_day(tables["quarantine"])
    # Summed once for all days: a sum per day took 14 s for 15 years of days.
    accounted_rows, refused = _by_day(outcomes), _by_day(outcomes, "quarantine") + catalogs.refused()
    for day in changed:
        outcomes[day, "rows_in", "all"] = landed.ledgers["events"].rows(day)
        outcomes[day, "event", "all"] = events[day]
        accounted = accounted_rows[day] + events[day]
        if accounted != outcomes[day, "rows_in", "all"] or quarantine[day] != refused[day]:
            raise ValueError(
                f"{landed.source.name} {day}: {outcomes[day, 'rows_in', 'all']} rows landed, but {accounted} became "
                f"events, quarantine, duplicates or forgotten: the landing changed while it was read; clean again"
            )
    outcomes.update(catalogs.outcomes)


def _by_day(outcomes: Outcomes, wanted: str | None = None) -> Counter[date]:
    rows: Counter[date] = Counter()
    for (day, outcome, _), count in outcomes.items():
        if wanted in (None, outcome):
            rows[day] += count
    return rows


def _reconciliation(outcomes: Outcomes, changed: Mapping[date, str]) -> pa.Table:
    rows = [
        {"outcome": outcome, "rule": rule, "rows": count, "fingerprint": changed[day], "ds": day}
        for (day, outcome, rule), count in sorted(outcomes.items())
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["reconciliation"]))
