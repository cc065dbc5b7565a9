"""Compute the night's tables, all from the same user and item vectors.

    python spark_jobs/recommend_items.py --source simulated_shop --date 2026-11-20 --top-k 20

Reads the vectors that pipeline_tasks.registry.embed_items wrote; writes the manifest `recommend`. Nothing is visible
before it is gated and published.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pyspark.sql import SparkSession

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import settings
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.registry.served_policy import REPEAT_POLICY
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.common.spark_session import open_session
from spark_jobs.recommending.run_inputs import RunInputs, read_night_inputs
from spark_jobs.recommending.run_tables import (
    Staged,
    stage_neighbors,
    stage_outlook,
    stage_profiles,
    stage_recommendations,
    stage_search,
)

_AT_ONCE: Final = 2
"""Groups of tables: Spark plans and compiles one while another runs; more would only share the same cores."""


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    scoring = settings().scoring
    parser = argparse.ArgumentParser(description="Compute the nightly recommendation tables")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    parser.add_argument("--top-k", type=int, default=scoring.top_k, help="rows per user")
    parser.add_argument(
        "--exclude-purchased-days",
        type=int,
        default=scoring.exclude_purchased_days,
        help="items bought within so many days, the night's included, are left out; 0 leaves that to the repeat "
        "policy of the model",
    )
    return parser


def describe(night: RunInputs) -> dict[str, str]:
    """Return what the tables were made from, and what was left out on the way."""
    arms = [{"name": arm.name, "by_score": arm.plan.by_score_alone} | arm.model_dump() for arm in night.rules.arms]
    facts = {
        "model_version": night.version,
        "top_k": night.scoring.top_k,
        "fallback_k": night.scoring.fallback_k,
        "similar_k": night.scoring.similar_k,
        "next_k": night.scoring.next_k,
        "exclude_purchased_days": night.scoring.exclude_purchased_days,
        "effective_exclude_purchased_days": night.purchase_days,
        "excluded_event_types": ",".join(night.policy.excluded_types),
        "scored_items": len(night.shelf.item_ids),
        "allowed_items": night.shelf.allowed,
        "shown_items": len(night.catalog) - len(night.excluded.items),
        "replenishable_items": len(night.shelf.replenishable),
        "lost_items": night.lost,
        "arms": json.dumps(arms),
        "shelf_folder": night.folder,
        "timezone": night.zone or "",
    }
    facts |= {f"{name}_snapshot_id": snapshot for name, snapshot in night.snapshots.items() if snapshot is not None}
    return {name: str(value) for name, value in facts.items()} | night.excluded.describe()


def build(spark: SparkSession, night: RunKey, scoring: ScoringSettings) -> Manifest:
    """Build the step's tables and return their manifest.

    Raises:
        FileNotFoundError: the night has no vectors.
        ValueError: as `read_night_inputs`.
    """
    inputs = read_night_inputs(spark, night, scoring)
    steps = (stage_recommendations, stage_profiles, stage_outlook, stage_search, stage_neighbors)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = list(pool.map(lambda step: _timed(step, inputs), steps))
    inputs.users.unpersist()
    tables = {name: table for part, _ in parts for name, table in part.tables.items()}
    facts = describe(inputs) | {name: fact for part, _ in parts for name, fact in part.facts.items()}
    seconds = {step.__name__: taken for step, (_, taken) in zip(steps, parts, strict=True)}
    for limit in limits(inputs):
        print(limit)
    print(f"recommend {night.source} {night.ds}: {', '.join(f'{n} {t.rows}' for n, t in tables.items())}; {facts}")
    ordered = {name: tables[name] for name in TABLES if name in tables}
    return Manifest(source=night.source, ds=night.ds, step="recommend", tables=ordered, facts=facts, seconds=seconds)


def limits(night: RunInputs) -> list[str]:
    """Return what was asked for and cannot be had, a sentence each."""
    said = [
        f"shelf rules: {len(ids)} of {listing} are not in the catalog and ignored, first {ids[0]!r}"
        for listing, ids in night.excluded.unknown.items()
    ]
    wanted, allowed = night.scoring.top_k, night.shelf.allowed
    if wanted > allowed:
        said.append(f"{wanted} items per user are wanted, {allowed} may be shown: shelves are shorter")
    days, first = night.scoring.exclude_purchased_days, night.window[0]
    if days > night.purchase_days:
        said.append(
            f"exclude_purchased_days={days} reaches beyond the window of {night.window_days} days ({first} to "
            f"{night.ds}): purchases before {first} are not known; set window_days={days} or more to know them"
        )
    if night.policy.exclude_purchased_days != days:
        said.append(
            f"exclude_purchased_days={days}, but {night.version} was judged with {night.policy.exclude_purchased_days}"
        )
    if REPEAT_POLICY in night.meta:
        said.append(f"served as it was judged: {night.policy.describe()}; events before {first} are not known")
    return said


def _timed(step: Callable[[RunInputs], Staged], inputs: RunInputs) -> tuple[Staged, float]:
    started = time.monotonic()
    staged = step(inputs)
    seconds = round(time.monotonic() - started, 2)
    # At once: the whole job takes minutes from 100,000 users on.
    print(f"{step.__name__}: {', '.join(staged.tables)} after {seconds} s", flush=True)
    return staged, seconds


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        night = RunKey(arguments.source, arguments.date)
        with job_lock(settings(), night.source, f"recommend_items {night.ds}"):
            chosen = {"top_k": arguments.top_k, "exclude_purchased_days": arguments.exclude_purchased_days}
            scoring = ScoringSettings.model_validate(settings().scoring.model_dump() | chosen)
            spark = open_session(f"recommend {night.source} {night.ds}")
            write_manifest(settings(), build(spark, night, scoring))


if __name__ == "__main__":
    main()
