"""Cleans the landed days that are new or changed: events, quarantine, reconciliation; the catalog and the users.

    python spark_jobs/clean_behavior.py --source simulated_shop --date 2026-11-20 --window-days 30

Writes Parquet into the lake's folders and the manifest `clean`; nothing is visible before it is gated and published.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.landing import Kind
from pipeline_tasks.sources.run_dates import require_begun
from pipeline_tasks.sources.sources import load_source
from pipeline_tasks.sources.window_choice import WINDOW_HELP, landed_window
from spark_jobs.cleaning.changed_days import changed_days, chosen_rules
from spark_jobs.cleaning.clean_days import clean_days
from spark_jobs.cleaning.clean_items import build_items, require_catalog
from spark_jobs.cleaning.clean_users import build_users
from spark_jobs.cleaning.incremental_dimensions import IncrementalDimensions, input_digest
from spark_jobs.cleaning.join_rates import has_decomposed_ids, unmatched_items, unmatched_users
from spark_jobs.cleaning.rejected_catalog import reject_catalog
from spark_jobs.cleaning.uncleaned_rows import count_uncleaned, counted_outside, grown_days
from spark_jobs.cleaning.value_failures import Tried, catalog_expressions, event_expressions, value_failures
from spark_jobs.common.spark_session import open_session
from spark_jobs.common.stage_table import read_table, stage_tables
from spark_jobs.landing.landing_reader import LandingReader

_KEYS: Final = {"items": "item_id", "users": "user_key"}


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Clean the landed days that are new or changed")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    parser.add_argument("--rules", help="comma-separated rules in place of the source's own")
    return parser


def clean(spark: SparkSession, source: Source, night: RunKey, window_days: int, on: Sequence[str]) -> Manifest:
    """Build the tables of the step and return their manifest.

    Raises:
        ValueError: nothing was landed for the night, or its day has not begun.
    """
    require_begun(night, source.timezone)
    landed = LandingReader(spark, source, settings())
    landed.require(night)
    manifest = _clean(landed, night, window_days, on)
    if any(has_decomposed_ids(manifest.tables[table], key) for table, key in _KEYS.items()):
        # Few shops have such ids, and composing is slow: no other shop pays for it.
        print("clean: some ids are in a decomposed Unicode form; cleaning again, which composes them (NFC)")
        manifest = _clean(LandingReader(spark, source, settings(), compose=True), night, window_days, on)
    return manifest


def _clean(landed: LandingReader, night: RunKey, window_days: int, on: Sequence[str]) -> Manifest:
    source, spark = landed.source, landed.spark
    lake = Lake.open(settings(), source.name).at_one_moment()
    window_days = landed_window(source, ledger := landed.ledgers["events"], night, window_days)
    window = night.window(window_days)
    limits, counted = settings().cleaning, counted_outside(lake, window)
    # Records without a day of their own may have joined, or left, a day before the window.
    earlier_days = {day for day in ledger.undated if day < window[0]} | set(grown_days(ledger, counted, window))
    stale = changed_days(landed, lake, [*sorted(earlier_days), *window], on, limits)
    tables: dict[str, StagedTable] = {}
    with value_failures(lambda: _expressions(landed, night, window)):
        if stale:
            catalogs = reject_catalog(landed, sorted(stale), limits.max_raw_characters)
            tables = clean_days(landed, lake, stale, on, limits, catalogs)
        tables |= count_uncleaned(tables, lake, ledger, counted, window)
        earlier = IncrementalDimensions(landed, lake, night, window).resume(on, limits)
        first = earlier.days[0]
        events = read_table(spark, lake, "events", (first, night.ds), tables.get("events")).where(F.col("ds") >= first)
        builders = {"items": build_items, "users": build_users}
        rows = {name: build(landed, night, window, events, earlier) for name, build in builders.items()}
        looked_at = sum(ledger.rows(day) for day in earlier.days)
        tables |= stage_tables(lake, rows, [night.ds], looked_at)
    require_catalog(landed, tables["items"])
    _say(night, len(stale), tables)
    facts = {"night": str(night.ds), "rules": ",".join(on), "window_days": str(window_days)}
    facts["made_from"] = input_digest(landed, window, on, limits)
    facts["timezone"] = source.timezone or ""
    facts["continued_from"] = str(earlier.continued or "")
    unmatched = {
        "unmatched_items": unmatched_items(landed, tables["items"]),
        "unmatched_users": unmatched_users(landed, night, tables["users"]),
    }
    facts |= {name: fault for name, fault in unmatched.items() if fault}
    return Manifest(source=source.name, ds=night.ds, step="clean", tables=tables, facts=facts)


def _expressions(landed: LandingReader, night: RunKey, window: Sequence[date]) -> Tried:
    yield landed.days("events", window), event_expressions(landed.source)
    catalogs: tuple[Kind, ...] = ("items", "users")
    for kind in catalogs:
        yield landed.days(kind, [night.ds]), catalog_expressions(landed.source, kind)


def _say(night: RunKey, stale: int, tables: dict[str, StagedTable]) -> None:
    rows = ", ".join(f"{name} {staged.rows}" for name, staged in tables.items())
    print(f"clean {night.source} {night.ds}: {stale} days were new or changed; {rows}")


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        source = load_source(arguments.source)
        with job_lock(settings(), source.name, f"clean_behavior {arguments.date}"):
            night = RunKey(source.name, arguments.date)
            spark = open_session(f"clean {source.name} {arguments.date}")
            on = chosen_rules(source, arguments.rules)
            write_manifest(settings(), clean(spark, source, night, arguments.window_days, on))


if __name__ == "__main__":
    main()
