"""Lands a source's files as Parquet, partitioned by the day of each event. Unchanged deliveries are skipped.

    python spark_jobs/land_behavior.py --source simulated_shop --date 2026-11-20 --window-days 30

Writes landing/<source>/{events,items,users}/ds=…/arrived=…/. A file with its day in the path ({ds}) is a delivery of
that day; a single growing file is a delivery of all its days. The shop's columns are kept unchanged.
"""

import argparse
from datetime import date

from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.source_lock import job_lock, landing_lock
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.landing import Landing
from pipeline_tasks.sources.sources import load_source, reject_future_day
from pipeline_tasks.sources.window_choice import WINDOW_HELP, delivered_window
from spark_jobs.common.spark_session import open_session
from spark_jobs.landing.land_catalog import land_catalog
from spark_jobs.landing.land_events import land_events
from spark_jobs.simulate_shop import simulate_shop


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Land a source's files by event day")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    parser.add_argument("--date", required=True, type=parse_day, help="day of the run, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    parser.add_argument("--source-path", help="folder of the source's files; overrides the TOML's path")
    return parser


def land(spark: SparkSession, source: Source, ds: date, window_days: int) -> None:
    """Land events, items and users of the source for the window that ends with `ds`."""
    run = RunKey(source.name, ds)
    reject_future_day(run, source.timezone)
    if source.simulated:
        simulate_shop(spark, settings().simulation, source.path, run.window(delivered_window(window_days)))
    land_events(spark, source, run, window_days, Landing(settings(), source.name, "events"))
    if source.items is not None and source.items.path is not None:
        land_catalog(spark, source, source.items, run, Landing(settings(), source.name, "items"))
    if source.users is not None and source.users.path is not None:
        land_catalog(spark, source, source.users, run, Landing(settings(), source.name, "users"))


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        source = load_source(arguments.source, arguments.source_path)
        with (
            job_lock(settings(), source.name, f"land_behavior {arguments.date}"),
            landing_lock(settings(), source.name),
        ):
            land(open_session(f"land {source.name} {arguments.date}"), source, arguments.date, arguments.window_days)


if __name__ == "__main__":
    main()
