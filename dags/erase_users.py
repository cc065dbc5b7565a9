"""Erase users from everything that was made from the shop's files, and keep them out of later runs.

This DAG stores the user keys as salted hashes. It removes the users' records from the landed files, and their rows of
all days from events, quarantine, users, sequences and the gold tables. It also deletes the vectors and manifests in
staging, the reports and Data Docs that name the users, and their rows in the application's Postgres, where one is set.

An erasure cannot be undone. All earlier snapshots of these tables expire and their files are deleted, so a rollback
cannot go back beyond this run. Records of these users that the shop delivers again are left out by cleaning.

**When to run it.** Start it with **Trigger** while no nightly run is under way. There is no schedule. Delete the run in
Airflow afterwards, because Airflow keeps the form with the user keys.

**When it fails.** The log of the failed task names the reason and the remedy. Clear the task to run it again: every
task can be repeated.

**Afterwards.** The next nightly run cleans the days of the rewritten files again and retrains the model. The shop's
own files, older model versions and logs are not changed; see docs/guides/privacy.md.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from job_operators import SparkJob
from maintenance_form import erasure_fields, require_no_night, source_field
from run_schedule import DAG_DEFAULTS, SPARK_POOL

from pipeline_tasks.config.settings import settings

with DAG(
    "erase_users",
    schedule=None,
    description="Erase users from everything that was made from the shop's files, and keep them out",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=source_field() | erasure_fields(),
    **DAG_DEFAULTS,
):
    # From this task on only hashes are used: no later task, command or log holds a user key.
    @task(task_id="remember_shoppers")
    def request_erasure() -> int:
        """Store the keys of the form as hashes; return how many users of the source are erased so far."""
        from pipeline_tasks.maintenance.erase_users import request_erasure as request
        from pipeline_tasks.sources.sources import source_of_form

        form = get_current_context()["params"]
        return request(settings(), source_of_form(form["source"]), form["user_keys"])

    # Only the source's expressions can find the user of a record, and Spark evaluates these.
    erase_landed = SparkJob(
        task_id="forget_landed",
        job="erase_landed.py",
        run_arguments=("--source={{ run_options().source }}",),
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )

    # The landed files come first: a run that started in between would bring their rows back.
    @task(task_id="forget_rows", execution_timeout=timedelta(hours=2))
    def erase_rows() -> dict[str, Any]:
        """Remove the users from tables, staging and Postgres; return what was removed."""
        from pipeline_tasks.maintenance.erase_users import erase_users as erase
        from pipeline_tasks.sources.sources import source_of_form

        report = erase(settings(), source_of_form(get_current_context()["params"]["source"]))
        print(report)
        return report.model_dump(mode="json")

    require_no_night() >> request_erasure() >> erase_landed >> erase_rows()
