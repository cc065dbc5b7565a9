"""Splits the published events of a window 6:2:2 and gathers them into histories.

    python spark_jobs/split_behavior.py --source simulated_shop --date 2026-11-20 --window-days 30 --strategy temporal

Writes the tables `splits` (two cut-offs over a snapshot of `events`: no copy) and `sequences`, and the manifest
`split`. leave_one_out and per_user are positions in the histories; their counts are of all histories. Where no strategy
is asked for, the split is in time, and leave_one_out where hardly a history goes on past the cut-offs (sessions of
anonymous visitors) or where times say nothing.
"""

import argparse
import hashlib
from typing import Any, get_args

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SplitStrategy, settings
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.sources import load_source
from pipeline_tasks.sources.window_choice import WINDOW_HELP, cleaned_window
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.reconciliation_outcomes import EVENTS
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.common.spark_session import open_session
from spark_jobs.common.stage_table import read_table, stage_table
from spark_jobs.splitting.build_sequences import build_sequences, chosen_events
from spark_jobs.splitting.net_cancellations import netted_purchases
from spark_jobs.splitting.split_choice import LEAST_GOING_ON, share_going_on
from spark_jobs.splitting.split_counts import count_by_day, count_positions, span_counts
from spark_jobs.splitting.split_inputs import NOTHING_ACCEPTED, why_no_histories
from spark_jobs.splitting.time_cutoffs import TooFewEventsError, find_cutoffs


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Split the published events of a window 6:2:2")
    parser.add_argument("--source", required=True, help="preset, registered name, or path of a TOML file")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    parser.add_argument(
        "--strategy",
        choices=get_args(SplitStrategy),
        help="default: the source's, then the settings', then as the log says",
    )
    return parser


def split(
    spark: SparkSession, night: RunKey, window_days: int, asked: SplitStrategy | None, zone: str | None = None
) -> Manifest:
    """Build both tables and return their manifest; `asked` is None where the log shall say how it is split.

    `zone` is that of the shop's days.

    Raises:
        ValueError: no published events for the night, or too few to split.
    """
    lake = Lake.open(settings(), night.source)
    snapshot = _snapshot(lake, night)
    window_days = cleaned_window(lake, night, window_days)
    start = night.window(window_days)[0]
    events = read_table(spark, lake, "events", (start, night.ds), snapshot_id=snapshot)
    cancellations = events.where(F.col("event_type") == "cancellation").count()
    netted = netted_purchases(events).persist() if cancellations else None
    chosen = chosen_events(events, netted)
    sequences = stage_table(lake, "sequences", build_sequences(chosen, events, night.ds), [night.ds])
    if not sequences.rows:
        raise ValueError(f"{night.source} {start} to {night.ds}: {why_no_histories(events)}")
    strategy, parts = _parts(chosen, sequences, asked, zone)
    row: dict[str, Any] = {
        "strategy": strategy,
        "events_snapshot_id": snapshot,
        "window_start": start,
        "cancellations": cancellations,
        "netted_purchases": netted.count() if netted is not None else 0,
        "ds": night.ds,
        **parts,
    }
    row["split_id"] = hashlib.sha256(f"{strategy} {start} {night.ds} {snapshot}".encode()).hexdigest()[:16]
    files = lake.write_arrow("splits", pa.Table.from_pylist([row], schema=arrow_schema(TABLES["splits"])))
    splits = StagedTable(days=[night.ds], files=files, rows=1)
    print(f"split {night.source} {night.ds}: {row}; {sequences.rows} sequences")
    facts = {"events_snapshot_id": str(snapshot), "strategy": strategy, "window_days": str(window_days)}
    facts["timezone"] = zone or ""
    tables = {"splits": splits, "sequences": sequences}
    return Manifest(source=night.source, ds=night.ds, step="split", tables=tables, facts=facts)


def _snapshot(lake: Lake, night: RunKey) -> int:
    snapshot = lake.snapshot_id("events")
    day = (night.ds, night.ds)
    # A day of which cleaning accepted no row was cleaned all the same.
    cleaned = EVENTS.accepted in lake.read("reconciliation", day, ("outcome",))["outcome"].to_pylist()
    if snapshot is None and cleaned:
        raise ValueError(f"{night.source} {night.ds}: {NOTHING_ACCEPTED}")
    if snapshot is None or not (cleaned or lake.files("events", day, snapshot)):
        raise ValueError(
            f"No published events for {night.source} {night.ds}: land, clean and publish that day first "
            f"(nightshelf run --source {night.source} --date {night.ds})"
        )
    return snapshot


def _parts(
    chosen: DataFrame, sequences: StagedTable, asked: SplitStrategy | None, zone: str | None
) -> tuple[SplitStrategy, dict[str, Any]]:
    """Return the strategy, and the columns of `splits` that say where it cuts and what the parts hold."""
    if asked not in (None, "temporal"):
        return asked, _by_position(sequences, asked)
    try:
        cut = find_cutoffs(count_by_day(chosen, zone), span_counts(chosen, zone))
    except TooFewEventsError as error:
        if asked == "temporal":
            raise
        print(f"split by leave_one_out, as times say too little: {error}")
        return "leave_one_out", _by_position(sequences, "leave_one_out")
    if asked is None and (share := share_going_on(sequences.files, cut)) < LEAST_GOING_ON:
        print(f"split by leave_one_out, as {share:.2%} of the histories go on past a cut-off in time")
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
            night = RunKey(source.name, arguments.date)
            spark = open_session(f"split {source.name} {arguments.date}")
            write_manifest(settings(), split(spark, night, arguments.window_days, strategy, source.timezone))


if __name__ == "__main__":
    main()
