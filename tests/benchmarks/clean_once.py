"""One cleaning and one search for the cut-offs, as a process of its own, as the chain runs it, with the time of each.

python -m tests.benchmarks.clean_once simulated_shop 2026-11-20 30 out.json
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import publish, write_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.sources import load_source
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from spark_jobs.clean_behavior import clean
from spark_jobs.cleaning.changed_days import active_rule_names
from spark_jobs.common.spark_session import open_session
from spark_jobs.splitting.build_sequences import select_sequence_events
from spark_jobs.splitting.split_choice import count_by_day, count_by_span
from spark_jobs.splitting.time_cutoffs import find_cutoffs


@dataclass(frozen=True)
class Cleaned:
    """What one run took (seconds), and what it came to."""

    start_seconds: float
    """Java and Spark."""
    clean_seconds: float
    cutoff_seconds: float
    events: list[str]
    """Files."""
    rows: int
    train_end: str
    validation_end: str


def clean_once(source_name: str, run_key: RunKey, days: int) -> Cleaned:
    """Clean and publish the run, and find its cut-offs."""
    started = time.perf_counter()
    spark = open_session("clean for a benchmark")
    ready = time.perf_counter()
    source = load_source(source_name)
    manifest = clean(spark, source, run_key, days, active_rule_names(source, None))
    write_manifest(settings(), manifest)
    cleaned = time.perf_counter()
    events = manifest.tables["events"]
    train_end, validation_end = cutoffs(spark, events.files) if days > 1 else ("", "")
    split = time.perf_counter()
    publish(Lake.open(settings(), source.name), manifest)
    took = (ready - started, cleaned - ready, split - cleaned)
    return Cleaned(*took, events.files, events.rows, train_end, validation_end)


def cutoffs(spark: SparkSession, files: list[str]) -> tuple[str, str]:
    """Return both cut-offs as text."""
    chosen = select_sequence_events(spark.read.schema(spark_ddl(TABLES["events"])).parquet(*files), None)
    cut = find_cutoffs(count_by_day(chosen), count_by_span(chosen))
    return cut.train_end.isoformat(), cut.validation_end.isoformat()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "date", "days", "out"):
        parser.add_argument(name)
    given = parser.parse_args()
    cleaned = clean_once(given.source, RunKey(given.source, parse_day(given.date)), int(given.days))
    Path(given.out).write_text(json.dumps(asdict(cleaned)))


if __name__ == "__main__":
    main()
