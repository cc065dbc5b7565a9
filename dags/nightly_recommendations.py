"""Compute and publish the recommendations of one day.

This DAG embeds all items, users and the most frequent queries with the champion model. From these vectors it computes
the nightly tables: recommendations, neighbor items, search, profiles and forecasts (all gold tables of
docs/reference/tables.md). They are published together, after all of them have passed their gate.

**When it runs.** When `fine_tune_recommender` has finished for a day, with a new champion or the old one. Start it for
any other day with **Trigger**.

**When it fails.** Readers still see the previous recommendations. The log of the failed task ends with the reason and
the remedy. Clear the task to run it again: a repeated task gives the same result.

**Afterwards.** The asset `nightly_shelves` is updated. DAGs of your own can start from it.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from job_operators import ChildProcess, SparkJob, publish_behind_gate
from run_form import run_fields, scoring_fields
from run_options import emit_asset_event, resolve_run_key
from run_schedule import CHAMPION_RECOMMENDER, DAG_DEFAULTS, NIGHTLY_RECOMMENDATIONS, SPARK_POOL, after, on_one_gpu
from task_links import ReportLink

from pipeline_tasks.config.settings import settings

with DAG(
    "nightly_recommendations",
    schedule=after(CHAMPION_RECOMMENDER),
    description="Score all items for every user and publish the nightly tables",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=run_fields() | scoring_fields(),
    **DAG_DEFAULTS,
):
    # The model runs once for each item and user. Scoring afterwards is a matrix product that needs no GPU.
    embed_items = ChildProcess(
        task_id="embed_shelf",
        module="pipeline_tasks.registry.embed_items",
        execution_timeout=timedelta(hours=1),
        **on_one_gpu(),
    )
    # Spark is used because users times items may be too much for one machine. One job computes all tables, because
    # starting a second job takes longer than computing most of them.
    recommend_items = SparkJob(
        task_id="recommend_items",
        job="recommend_items.py",
        options=[
            "--top-k={{ run_options().top_k }}",
            "--exclude-purchased-days={{ run_options().exclude_purchased_days }}",
        ],
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )
    # Recommendations with gaps, repeats or excluded items must not be shown.
    validate_recommend, publish_recommend = publish_behind_gate("recommend")

    @task(execution_timeout=timedelta(minutes=10))
    def report_night() -> str:
        """Write the report of the night, in the Data Docs and in MLflow; return its address."""
        from pipeline_tasks.pages.night_report import publish_report

        return publish_report(settings(), resolve_run_key(get_current_context()))

    report: Any = report_night()
    report.operator.operator_extra_links = (ReportLink(),)
    publish_recommend >> report

    # The asset lets DAGs of the shop start when the recommendations are published.
    @task(outlets=[NIGHTLY_RECOMMENDATIONS])
    def hand_on_shelves() -> str:
        """Update the asset nightly_shelves; return the partition key."""
        return emit_asset_event(get_current_context(), NIGHTLY_RECOMMENDATIONS)

    embed_items >> recommend_items >> validate_recommend
    handed_on = hand_on_shelves()
    if settings().postgres_sink is None:
        publish_recommend >> handed_on
    else:
        # Postgres is written after the lake, so it is never ahead of it. As a task of its own it can be retried alone.
        @task(execution_timeout=timedelta(hours=1))
        def sink_shelves() -> dict[str, int]:
            """Copy the published tables into the application's Postgres; return the number of rows by table."""
            from pipeline_tasks.lake.postgres_sink import copy_recommendations

            return copy_recommendations(settings(), resolve_run_key(get_current_context()))

        publish_recommend >> sink_shelves() >> handed_on
