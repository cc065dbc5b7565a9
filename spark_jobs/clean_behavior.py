"""Cleans the landed days that are new or changed, and builds the catalog and the users.

    python spark_jobs/clean_behavior.py --source simulated_shop --date 2026-11-20 --window-days 30

Stages `events`, `quarantine`, `reconciliation`, `items` and `users`, and writes the manifest `clean`. Readers see
nothing of it until the gate has passed and the tables are published.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.landing import Kind
from pipeline_tasks.sources.sources import load_source, reject_future_day
from pipeline_tasks.sources.window_choice import WINDOW_HELP, landed_window
from spark_jobs.cleaning.changed_days import active_rule_names, changed_days
from spark_jobs.cleaning.clean_days import clean_days
from spark_jobs.cleaning.clean_items import build_items, require_catalog
from spark_jobs.cleaning.clean_users import build_users
from spark_jobs.cleaning.incremental_dimensions import IncrementalDimensions, input_digest
from spark_jobs.cleaning.join_rates import has_irregular_ids, unmatched_items, unmatched_users
from spark_jobs.cleaning.rejected_catalog import reject_catalog
from spark_jobs.cleaning.uncleaned_rows import count_uncleaned, counts_outside_window, grown_days
from spark_jobs.cleaning.value_failures import ExpressionSets, catalog_expressions, event_expressions, value_failures
from spark_jobs.common.spark_session import open_session
from spark_jobs.common.stage_table import read_table, stage_tables
from spark_jobs.landing.landing_reader import LandingReader

_KEYS: Final = {"items": "item_id", "users": "user_key"}


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Clean the landed days that are new or changed")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    parser.add_argument("--date", required=True, type=parse_day, help="day of the run, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    parser.add_argument("--rules", help="comma-separated rules that replace those of the source")
    return parser


def clean(spark: SparkSession, source: Source, run: RunKey, window_days: int, active_rules: Sequence[str]) -> Manifest:
    """Stage the tables of the step and return their manifest.

    Raises:
        ValueError: nothing was landed for the day of the run, or the day has not begun.
    """
    reject_future_day(run, source.timezone)
    landed = LandingReader(spark, source, settings())
    landed.require_events(run)
    manifest = _clean(landed, run, window_days, active_rules)
    if any(has_irregular_ids(manifest.tables[table], key) for table, key in _KEYS.items()):
        # Few shops have such ids, and making them regular is slow, so only these shops are cleaned twice.
        print("clean: some ids have white space around them, or decomposed letters; cleaning again without both")
        manifest = _clean(LandingReader(spark, source, settings(), normalize=True), run, window_days, active_rules)
    return manifest


def _clean(landed: LandingReader, run: RunKey, window_days: int, active_rules: Sequence[str]) -> Manifest:
    source, spark = landed.source, landed.spark
    lake = Lake.open(settings(), source.name).consistent_view()
    window_days = landed_window(source, ledger := landed.ledgers["events"], run, window_days)
    window = run.window(window_days)
    limits, counted = settings().cleaning, counts_outside_window(lake, window)
    # Undated records, and late ones, change days before the window.
    earlier_days = {day for day in ledger.undated if day < window[0]} | set(grown_days(ledger, counted, window))
    changed = changed_days(landed, lake, [*sorted(earlier_days), *window], active_rules, limits)
    tables: dict[str, StagedTable] = {}
    with value_failures(lambda: _expressions(landed, run, window)):
        if changed:
            catalogs = reject_catalog(landed, sorted(changed), limits.max_raw_characters)
            tables = clean_days(landed, lake, changed, active_rules, limits, catalogs)
        tables |= count_uncleaned(tables, lake, ledger, counted, window)
        earlier = IncrementalDimensions(landed, lake, run, window).resume(active_rules, limits)
        first = earlier.days[0]
        events = read_table(spark, lake, "events", (first, run.ds), tables.get("events")).where(F.col("ds") >= first)
        builders = {"items": build_items, "users": build_users}
        rows = {name: build(landed, run, window, events, earlier) for name, build in builders.items()}
        rows_read = sum(ledger.rows(day) for day in earlier.days)
        tables |= stage_tables(lake, rows, [run.ds], rows_read)
    require_catalog(landed, tables["items"])
    _print_summary(run, len(changed), tables)
    facts = {"night": str(run.ds), "rules": ",".join(active_rules), "window_days": str(window_days)}
    facts["made_from"] = input_digest(landed, window, active_rules, limits)
    facts["timezone"] = source.timezone or ""
    facts["continued_from"] = str(earlier.resumed_from or "")
    unmatched = {
        "unmatched_items": unmatched_items(landed, tables["items"]),
        "unmatched_users": unmatched_users(landed, run, tables["users"]),
    }
    facts |= {name: fault for name, fault in unmatched.items() if fault}
    return Manifest(source=source.name, ds=run.ds, step="clean", tables=tables, facts=facts)


def _expressions(landed: LandingReader, run: RunKey, window: Sequence[date]) -> ExpressionSets:
    yield landed.days("events", window), event_expressions(landed.source)
    catalogs: tuple[Kind, ...] = ("items", "users")
    for kind in catalogs:
        yield landed.days(kind, [run.ds]), catalog_expressions(landed.source, kind)


def _print_summary(run: RunKey, changed: int, tables: dict[str, StagedTable]) -> None:
    rows = ", ".join(f"{name} {staged.rows}" for name, staged in tables.items())
    print(f"clean {run.source} {run.ds}: {changed} days were new or changed; {rows}")


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        source = load_source(arguments.source)
        with job_lock(settings(), source.name, f"clean_behavior {arguments.date}"):
            run = RunKey(source.name, arguments.date)
            spark = open_session(f"clean {source.name} {arguments.date}")
            active_rules = active_rule_names(source, arguments.rules)
            write_manifest(settings(), clean(spark, source, run, arguments.window_days, active_rules))


if __name__ == "__main__":
    main()
