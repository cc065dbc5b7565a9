"""Delete, or list, old data of a source that is no longer needed.

This DAG finds folders of old days in staging with their gate reports, snapshots of tables older than the retention,
and files in the tables' folders that belong to no snapshot. It lists them with their sizes. It deletes them only
where **Delete** is set.

Rows that readers of a table can see are never deleted. These stay too: the folder of the newest day, the data that
the champion and the newest split were made from, the snapshots that a rollback within the retention needs, and files
younger than a day. The age is the time since something was written, not the day that it is about.

**When to run it.** Start it with **Trigger** while no nightly run is under way. There is no schedule.

**When it fails.** The log of the failed task names the reason: as a rule, a run or a job of the source is under way.
Wait until it has ended, then clear the task.

**Afterwards.** A rollback to a time before the retention is refused.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import require_no_night, retention_fields, source_field
from run_schedule import DAG_DEFAULTS

from pipeline_tasks.config.settings import settings

with DAG(
    "apply_retention",
    schedule=None,
    description="Delete, or list, data older than the retention that is no longer needed",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=source_field() | retention_fields(),
    **DAG_DEFAULTS,
):

    @task(execution_timeout=timedelta(hours=2))
    def apply_retention() -> list[dict[str, Any]]:
        """List what is old, delete it where the form asks for it, and return the counts and sizes by kind."""
        from dataclasses import asdict

        from pipeline_tasks.maintenance.apply_retention import apply_retention as apply
        from pipeline_tasks.maintenance.apply_retention import report_lines
        from pipeline_tasks.sources.sources import source_of_form

        form = get_current_context()["params"]
        removals = apply(settings(), source_of_form(form["source"]), form["retention_days"], delete=form["delete"])
        print("\n".join(report_lines(removals, deleted=form["delete"])))
        return [asdict(removal) for removal in removals if removal.count]

    require_no_night() >> apply_retention()
