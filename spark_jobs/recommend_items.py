"""Computes the recommendation tables of a run from one set of user and item vectors.

    python spark_jobs/recommend_items.py --source simulated_shop --date 2026-11-20 --top-k 20

Reads the vectors that `pipeline_tasks.registry.embed_items` wrote and writes the manifest `recommend`. Readers see
nothing of it until the gate has passed and the tables are published.
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
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.registry.served_policy import REPEAT_POLICY
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.common.spark_session import open_session
from spark_jobs.recommending.run_inputs import RunInputs, read_run_inputs
from spark_jobs.recommending.run_tables import GROUPS, Staged

_AT_ONCE: Final = 2
"""Groups of tables that are computed at a time. Spark plans one while another runs; more would share the same cores."""


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    scoring = settings().scoring
    parser = argparse.ArgumentParser(description="Compute the nightly recommendation tables")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--date", required=True, type=parse_day, help="day of the run, YYYY-MM-DD")
    parser.add_argument("--top-k", type=int, default=scoring.top_k, help="rows per user")
    parser.add_argument(
        "--exclude-purchased-days",
        type=int,
        default=scoring.exclude_purchased_days,
        help="leave out items that a user bought within this many days, the day of the run included; 0 applies the "
        "repeat policy of the model instead",
    )
    return parser


def describe(inputs: RunInputs) -> dict[str, str]:
    """Return the facts of the manifest: the inputs of the tables, and the number of items that were left out."""
    arms = [{"name": arm.name, "by_score": arm.plan.by_score_alone} | arm.model_dump() for arm in inputs.rules.arms]
    facts = {
        "model_version": inputs.version,
        "top_k": inputs.scoring.top_k,
        "fallback_k": inputs.scoring.fallback_k,
        "similar_k": inputs.scoring.similar_k,
        "next_k": inputs.scoring.next_k,
        "exclude_purchased_days": inputs.scoring.exclude_purchased_days,
        "effective_exclude_purchased_days": inputs.purchase_days,
        "excluded_event_types": ",".join(inputs.policy.excluded_types),
        "scored_items": len(inputs.offered.item_ids),
        "allowed_items": inputs.offered.allowed,
        "shown_items": len(inputs.catalog) - len(inputs.excluded.items),
        "replenishable_items": len(inputs.offered.replenishable),
        "lost_items": inputs.lost,
        "arms": json.dumps(arms),
        "shelf_folder": inputs.folder,
        "timezone": inputs.zone or "",
    }
    facts |= {f"{name}_snapshot_id": snapshot for name, snapshot in inputs.snapshots.items() if snapshot is not None}
    return {name: str(value) for name, value in facts.items()} | inputs.excluded.describe()


def build(spark: SparkSession, run: RunKey, scoring: ScoringSettings) -> Manifest:
    """Stage the tables of the step and return their manifest.

    Raises:
        FileNotFoundError: the run has no vectors.
        ValueError: as `read_night_inputs`.
    """
    inputs = read_run_inputs(spark, run, scoring)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = list(pool.map(lambda step: _timed(step, inputs), GROUPS))
    inputs.users.unpersist()
    tables = {name: table for part, _ in parts for name, table in part.tables.items()}
    facts = describe(inputs) | {name: fact for part, _ in parts for name, fact in part.facts.items()}
    seconds = {step.__name__: taken for step, (_, taken) in zip(GROUPS, parts, strict=True)}
    for limit in limits(inputs):
        print(limit)
    print(f"recommend {run.source} {run.ds}: {', '.join(f'{n} {t.rows}' for n, t in tables.items())}; {facts}")
    ordered = {name: tables[name] for name in TABLES if name in tables}
    return Manifest(source=run.source, ds=run.ds, step="recommend", tables=ordered, facts=facts, seconds=seconds)


def limits(inputs: RunInputs) -> list[str]:
    """Return a sentence for each setting that cannot be met in full."""
    sentences = [
        f"business rules: {len(ids)} of {listing} are not in the catalog and ignored, first {ids[0]!r}"
        for listing, ids in inputs.excluded.unknown.items()
    ]
    wanted, allowed = inputs.scoring.top_k, inputs.offered.allowed
    if wanted > allowed:
        sentences.append(f"top_k={wanted}, but only {allowed} items may be shown: lists of recommendations are shorter")
    days, first = inputs.scoring.exclude_purchased_days, inputs.window[0]
    if days > inputs.purchase_days:
        sentences.append(
            f"exclude_purchased_days={days} reaches beyond the window of {inputs.window_days} days ({first} to "
            f"{inputs.ds}): purchases before {first} are not known; set window_days={days} or more to know them"
        )
    if inputs.policy.exclude_purchased_days != days:
        sentences.append(
            f"exclude_purchased_days={days}, but {inputs.version} was evaluated with "
            f"{inputs.policy.exclude_purchased_days}"
        )
    if REPEAT_POLICY in inputs.meta:
        sentences.append(
            f"exclusions are those of the evaluation: {inputs.policy.describe()}; events before {first} are not known"
        )
    return sentences


def _timed(step: Callable[[RunInputs], Staged], inputs: RunInputs) -> tuple[Staged, float]:
    started = time.monotonic()
    staged = step(inputs)
    seconds = round(time.monotonic() - started, 2)
    # Flushed, because the whole job takes minutes from 100,000 users on.
    print(f"{step.__name__}: {', '.join(staged.tables)} after {seconds} s", flush=True)
    return staged, seconds


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with job_errors():
        run = RunKey(arguments.source, arguments.date)
        with job_lock(settings(), run.source, f"recommend_items {run.ds}"):
            chosen = {"top_k": arguments.top_k, "exclude_purchased_days": arguments.exclude_purchased_days}
            scoring = ScoringSettings.model_validate(settings().scoring.model_dump() | chosen)
            spark = open_session(f"recommend {run.source} {run.ds}")
            write_manifest(settings(), build(spark, run, scoring))


if __name__ == "__main__":
    main()
