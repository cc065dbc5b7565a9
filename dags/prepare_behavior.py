"""Prepare the behavior log of one night.

- **What**: lands what the shop delivered, cleans the days that changed, and splits the window 6:2:2 in time.
- **Safety**: each table passes its Great Expectations gate before it is published. Of every table, readers see the old
  night or the new one, never a mix; a night that fails leaves yesterday's tables as they were. Every task can be run
  again with the same result.
- **When**: at 02:00 by the source's clock (`NIGHTSHELF_SCHEDULE`) for the day that has just ended; for any night from
  **Trigger** or by `nightshelf run --date 2026-11-20`.
- **Then**: hands the night to **fine_tune_recommender**.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from command_line import SparkJob
from gated_step import publish_behind_gate
from run_choice import hand_on
from run_form import preparation, which_night
from run_schedule import EVERY_NIGHT, PREPARED_BEHAVIOR, SHARED, SPARK_POOL

WINDOW = "--window-days={{ night().window_days }}"
ON_SPARK: dict[str, Any] = {"pool": SPARK_POOL, "execution_timeout": timedelta(hours=2)}

with DAG(
    "prepare_behavior",
    schedule=EVERY_NIGHT,
    description="Land, clean and split one night of the shop's behavior log",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=which_night() | preparation(),
    **SHARED,
):
    # The shop's files may change or vanish; what has landed stays, so that a night can be repeated.
    land_behavior = SparkJob(
        task_id="land_behavior",
        job="land_behavior.py",
        options=[WINDOW, "--source-path={{ night().source_path }}"],
        **ON_SPARK,
    )
    # Cleaned apart from splitting, so that a night costs its changed days and not the history.
    clean_behavior = SparkJob(
        task_id="clean_behavior",
        job="clean_behavior.py",
        options=[WINDOW, "--rules={{ night().rules }}"],
        **ON_SPARK,
    )
    # Bad rows must not reach a reader.
    validate_clean, publish_clean = publish_behind_gate("clean")
    # Two cut-offs in time over a published snapshot: training must not see the future.
    split_behavior = SparkJob(
        task_id="split_behavior",
        job="split_behavior.py",
        options=[WINDOW, "--strategy={{ night().split_strategy }}"],
        **ON_SPARK,
    )
    # A leaking split would flatter every model that is trained on it.
    validate_split, publish_split = publish_behind_gate("split")

    # Airflow hands on only runs with a partition key; this one does so for runs from the form as well.
    @task(outlets=[PREPARED_BEHAVIOR])
    def hand_on_behavior() -> str:
        """Hand the night to fine_tune_recommender; return its partition key."""
        return hand_on(get_current_context(), PREPARED_BEHAVIOR)

    land_behavior >> clean_behavior >> validate_clean
    publish_clean >> split_behavior >> validate_split
    publish_split >> hand_on_behavior()
