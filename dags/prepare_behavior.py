"""Land, clean and split one day of the shop's behavior log.

This DAG copies the shop's files, cleans the days that changed, and splits the window of days 6:2:2 by time into
training, validation and test. Each table is published after its Great Expectations gate has passed. Readers see either
the previous version of a table or the new one, never a mix.

**When it runs.** Every night at 02:00 (`NIGHTSHELF_SCHEDULE`) by the clock of the source, for the day that has just
ended. Start it for any other day with **Trigger**, or with `nightshelf run --date 2026-11-20`.

**When it fails.** The published tables stay as they were. The log of the failed task ends with the reason and the
remedy; the report of a gate is in the Data Docs. Clear the task to run it again: a repeated task gives the same result.

**Afterwards.** `fine_tune_recommender` starts for the same day.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from job_operators import SparkJob, publish_behind_gate
from run_form import preparation_fields, run_fields
from run_options import emit_asset_event
from run_schedule import DAG_DEFAULTS, NIGHTLY_SCHEDULE, PREPARED_BEHAVIOR, SPARK_POOL

WINDOW = "--window-days={{ run_options().window_days }}"
ON_SPARK: dict[str, Any] = {"pool": SPARK_POOL, "execution_timeout": timedelta(hours=2)}

with DAG(
    "prepare_behavior",
    schedule=NIGHTLY_SCHEDULE,
    description="Land, clean and split one day of the shop's behavior log",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=run_fields() | preparation_fields(),
    **DAG_DEFAULTS,
):
    # The shop's files may change or vanish. A run can be repeated from the landed copies.
    land_behavior = SparkJob(
        task_id="land_behavior",
        job="land_behavior.py",
        options=[WINDOW, "--source-path={{ run_options().source_path }}"],
        **ON_SPARK,
    )
    # Cleaning is a step of its own, so that a run cleans the changed days and not the whole history.
    clean_behavior = SparkJob(
        task_id="clean_behavior",
        job="clean_behavior.py",
        options=[WINDOW, "--rules={{ run_options().rules }}"],
        **ON_SPARK,
    )
    # Bad rows must not reach a reader.
    validate_clean, publish_clean = publish_behind_gate("clean")
    # The split reads a published snapshot and cuts it at two points in time, so that training does not see the future.
    split_behavior = SparkJob(
        task_id="split_behavior",
        job="split_behavior.py",
        options=[WINDOW, "--strategy={{ run_options().split_strategy }}"],
        **ON_SPARK,
    )
    # A split that leaks the future would inflate the metrics of every model trained on it.
    validate_split, publish_split = publish_behind_gate("split")

    # Airflow passes on only runs with a partition key. This task adds the key to runs from the form as well.
    @task(outlets=[PREPARED_BEHAVIOR])
    def hand_on_behavior() -> str:
        """Start fine_tune_recommender for the same day; return the partition key."""
        return emit_asset_event(get_current_context(), PREPARED_BEHAVIOR)

    land_behavior >> clean_behavior >> validate_clean
    publish_clean >> split_behavior >> validate_split
    publish_split >> hand_on_behavior()
