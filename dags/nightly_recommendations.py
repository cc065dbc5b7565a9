"""Restock every user's shelf for one night.

- **What**: embeds all items, users and the top queries with the reigning champion, and computes every nightly table
  from those vectors: recommendations, fallback_recommendations, similar_items, next_items, user_profiles,
  search_results, search_suggestions, purchase_intent, audiences, demand_outlook.
- **Safety**: none is published before all have passed their gate.
- **When**: as **fine_tune_recommender** hands on a night, with a new champion or the old one, or from **Trigger**.
- **Then**: announces **nightly_shelves**, for the DAGs of others.
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from command_line import ChildProcess, SparkJob
from gated_step import publish_behind_gate
from run_choice import hand_on, settle_night
from run_form import shelves, which_night
from run_schedule import CHAMPION_RECOMMENDER, NIGHTLY_SHELVES, SHARED, SPARK_POOL, after, on_one_gpu

from pipeline_tasks.config.settings import settings

with DAG(
    "nightly_recommendations",
    schedule=after(CHAMPION_RECOMMENDER),
    description="Score every user against every item and publish all tables of the night",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=which_night() | shelves(),
    **SHARED,
):
    # The model runs once per item and user; scoring afterwards is a matrix product that needs no GPU.
    embed_catalog = ChildProcess(
        task_id="embed_shelf",
        module="pipeline_tasks.registry.embed_items",
        execution_timeout=timedelta(hours=1),
        **on_one_gpu(),
    )
    # Spark, because users times items is the only product here that outgrows a machine; all tables in one job,
    # because starting another would take longer than computing most of them.
    recommend_items = SparkJob(
        task_id="recommend_items",
        job="recommend_items.py",
        options=["--top-k={{ night().top_k }}", "--exclude-purchased-days={{ night().exclude_purchased_days }}"],
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )
    # A shelf with gaps, repeats or items already bought must not be shown.
    validate_recommend, publish_recommend = publish_behind_gate("recommend")

    # For the DAGs of others: an asset is how they learn that the shelves are full.
    @task(outlets=[NIGHTLY_SHELVES])
    def hand_on_shelves() -> str:
        """Announce the night's shelves; return its partition key."""
        return hand_on(get_current_context(), NIGHTLY_SHELVES)

    embed_catalog >> recommend_items >> validate_recommend
    shelves_are_full = hand_on_shelves()
    if settings().postgres_sink is None:
        publish_recommend >> shelves_are_full
    else:
        # Behind the lake and apart from it: Postgres is never ahead, and a server that was away is tried again alone.
        @task(execution_timeout=timedelta(hours=1))
        def sink_shelves() -> dict[str, int]:
            """Copy the published shelves into the application's Postgres; return the rows by table."""
            from pipeline_tasks.lake.postgres_sink import sink_night

            return sink_night(settings(), settle_night(get_current_context()))

        publish_recommend >> sink_shelves() >> shelves_are_full
