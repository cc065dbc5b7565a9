"""Splits the published events of a window 6:2:2 and groups them into sequences.

    python spark_jobs/split_behavior.py --source simulated_shop --date 2026-11-20 --window-days 30 --strategy temporal

Stages `splits` (two cut-offs over a snapshot of `events`, without a copy) and `sequences`, and writes the manifest
`split`. The strategies leave_one_out and per_user cut by position within a sequence. Without a chosen strategy the
split is temporal, or leave_one_out where few sequences have events after the cut-offs (sessions of anonymous visitors)
or where too many events share one time.
"""

import argparse
import hashlib
from typing import Any, get_args

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SplitStrategy, settings
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.sources import load_source
from pipeline_tasks.sources.window_choice import WINDOW_HELP, cleaned_window
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.tables.silver_tables import EVENT_OUTCOMES
from spark_jobs.common.connect_frames import persisted
from spark_jobs.common.spark_session import open_session
from spark_jobs.common.stage_table import read_table, stage_table
from spark_jobs.splitting.build_sequences import (
    NO_ACCEPTED_EVENTS,
    build_sequences,
    netted_purchases,
    no_histories_reason,
    select_sequence_events,
)
from spark_jobs.splitting.split_choice import (
    MIN_CROSSING_SHARE,
    count_by_day,
    count_by_span,
    count_positions,
    crossing_share,
)
from spark_jobs.splitting.time_cutoffs import TooFewEventsError, find_cutoffs


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Split the published events of a window 6:2:2")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    parser.add_argument("--date", required=True, type=parse_day, help="day of the run, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    parser.add_argument(
        "--strategy",
        choices=get_args(SplitStrategy),
        help="default: that of the source, then of the settings, then chosen from the log",
    )
    return parser


def split(
    spark: SparkSession, run: RunKey, window_days: int, strategy: SplitStrategy | None, zone: str | None = None
) -> Manifest:
    """Stage both tables and return their manifest.

    Args:
        strategy: the strategy, None to choose it from the log.
        zone: time zone of the shop's days, None for UTC.

    Raises:
        ValueError: the run has no published events, or too few to split.
    """
    lake = Lake.open(settings(), run.source)
    snapshot = _snapshot(lake, run)
    window_days = cleaned_window(lake, run, window_days)
    start = run.window(window_days)[0]
    events = read_table(spark, lake, "events", (start, run.ds), snapshot_id=snapshot)
    cancellations = events.where(F.col("event_type") == "cancellation").count()
    netted = persisted(netted_purchases(events)) if cancellations else None
    chosen = select_sequence_events(events, netted)
    sequences = stage_table(lake, "sequences", build_sequences(chosen, events, run.ds), [run.ds])
    if not sequences.rows:
        raise ValueError(f"{run.source} {start} to {run.ds}: {no_histories_reason(events)}")
    strategy, parts = _parts(chosen, sequences, strategy, zone)
    row: dict[str, Any] = {
        "strategy": strategy,
        "events_snapshot_id": snapshot,
        "window_start": start,
        "cancellations": cancellations,
        "netted_purchases": netted.count() if netted is not None else 0,
        "ds": run.ds,
        **parts,
    }
    row["split_id"] = hashlib.sha256(f"{strategy} {start} {run.ds} {snapshot}".encode()).hexdigest()[:16]
    files = lake.write_arrow("splits", pa.Table.from_pylist([row], schema=arrow_schema(TABLES["splits"])))
    print(f"split {run.source} {run.ds}: {row}; {sequences.rows} sequences")
    facts = {"events_snapshot_id": str(snapshot), "strategy": strategy, "window_days": str(window_days)}
    facts["timezone"] = zone or ""
    tables = {"splits": StagedTable(days=[run.ds], files=files, rows=1), "sequences": sequences}
    return Manifest(source=run.source, ds=run.ds, step="split", tables=tables, facts=facts)


def _snapshot(lake: Lake, run: RunKey) -> int:
    snapshot = lake.snapshot_id("events")
    day = (run.ds, run.ds)
    # A cleaned day has this outcome even where no row was accepted.
    cleaned = EVENT_OUTCOMES.accepted in lake.read("reconciliation", day, ("outcome",))["outcome"].to_pylist()
    if snapshot is None and cleaned:
        raise ValueError(f"{run.source} {run.ds}: {NO_ACCEPTED_EVENTS}")
    if snapshot is None or not (cleaned or lake.files("events", day, snapshot)):
        raise ValueError(
            f"No published events for {run.source} {run.ds}: land, clean and publish that day first "
            f"(nightshelf run --source {run.source} --date {run.ds})"
        )
    return snapshot


def _parts(
    chosen: DataFrame, sequences: StagedTable, strategy: SplitStrategy | None, zone: str | None
) -> tuple[SplitStrategy, dict[str, Any]]:
    """Return the strategy, and the columns of `splits` that hold its cut-offs and the events of each part."""
    if strategy not in (None, "temporal"):
        return strategy, _by_position(sequences, strategy)
    try:
        cut = find_cutoffs(count_by_day(chosen, zone), count_by_span(chosen, zone))
    except TooFewEventsError as error:
        if strategy == "temporal":
            raise
        print(f"split by leave_one_out, because the times allow no temporal split: {error}")
        return "leave_one_out", _by_position(sequences, "leave_one_out")
    if strategy is None and (share := crossing_share(sequences.files, cut)) < MIN_CROSSING_SHARE:
        print(f"split by leave_one_out, because only {share:.2%} of the sequences have events after a cut-off in time")
        return "leave_one_out", _by_position(sequences, "leave_one_out")
    print(f"split in time: {cut.shares()}")
    counts = {"train_events": cut.train, "validation_events": cut.validation, "test_events": cut.test}
    ties = {"train_end_ties": cut.train_end_ties, "validation_end_ties": cut.validation_end_ties}
    return "temporal", counts | ties | {"train_end": cut.train_end, "validation_end": cut.validation_end}


def _by_position(sequences: StagedTable, strategy: SplitStrategy) -> dict[str, Any]:
    counts = count_positions(sequences.files, strategy)
    if min(counts) == 0:
        raise TooFewEventsError(
            f"strategy {strategy} gives parts of {counts} events: no history is long enough, as it takes three events "
            f"of one user or session; choose a longer window (--window-days), or map events.columns.user_key"
        )
    names = ("train_events", "validation_events", "test_events")
    return dict(zip(names, counts, strict=True)) | {"train_end": None, "validation_end": None}


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        source = load_source(arguments.source)
        with job_lock(settings(), source.name, f"split_behavior {arguments.date}"):
            strategy = arguments.strategy or source.split_strategy or settings().split.strategy
            run = RunKey(source.name, arguments.date)
            spark = open_session(f"split {source.name} {arguments.date}")
            write_manifest(settings(), split(spark, run, arguments.window_days, strategy, source.timezone))


if __name__ == "__main__":
    main()
