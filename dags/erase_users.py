"""Forget users: in the landed files, in every night of every table, in staging, and in what comes later.

- **What**: the keys are remembered as salted hashes; landed files are rewritten without their records; events,
  quarantine, users, sequences and all gold tables lose their rows of all nights; vectors, manifests, and reports and
  Data Docs that name them go from staging; the application's Postgres follows, where one is set.
- **Safety**: it cannot be undone. All earlier snapshots of these tables expire and their files are deleted, so a way
  back ends here. Every task can be run again with the same result; cleaning leaves out what the shop delivers of them
  again.
- **When**: from **Trigger**, while no night is under way.
- **Then**: the next night cleans the days of the rewritten files again, and retrains. The shop's own files, older model
  versions, and logs are not touched (docs/guides/privacy.md).
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from command_line import SparkJob
from maintenance_form import which_source, whom_to_forget
from no_concurrent_run import require_no_night
from run_schedule import SHARED, SPARK_POOL

from pipeline_tasks.config.settings import settings

with DAG(
    "erase_users",
    schedule=None,
    description="Remove users from everything that was made of the shop's files, and keep them out",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=which_source() | whom_to_forget(),
    **SHARED,
):
    # From here on by hashes: no later task, command or log holds a key.
    @task(task_id="remember_shoppers")
    def request_erasure() -> int:
        """Remember the keys of the form as hashes; return how many the source has forgotten so far."""
        from pipeline_tasks.maintenance.erase_users import request_erasure as remember
        from pipeline_tasks.sources.sources import source_of_form

        given = get_current_context()["params"]
        return remember(settings(), source_of_form(given["source"]), given["user_keys"])

    # Where a record names its user is known to the source's expressions alone: Spark's.
    erase_landed = SparkJob(
        task_id="forget_landed",
        job="erase_landed.py",
        about=("--source={{ night().source }}",),
        pool=SPARK_POOL,
        execution_timeout=timedelta(hours=2),
    )

    # Behind the landing: what is landed is what a night cleaned in between would bring back.
    @task(task_id="forget_rows", execution_timeout=timedelta(hours=2))
    def erase_rows() -> dict[str, Any]:
        """Take the rows out of tables, staging and Postgres; return what went."""
        from pipeline_tasks.maintenance.erase_users import erase_users as forget
        from pipeline_tasks.sources.sources import source_of_form

        done = forget(settings(), source_of_form(get_current_context()["params"]["source"]))
        print(done)
        return done.model_dump(mode="json")

    require_no_night() >> request_erasure() >> erase_landed >> erase_rows()
