"""Free the room of nights that nobody needs any more; by default, only say how much.

- **What**: folders of old nights in staging with the pages of their gates, snapshots older than the retention, and
  files below the tables' folders that no snapshot names: of replaced nights, of failed gates.
- **Safety**: rows that a reader of a table sees never go, whatever their night. What stays as well: the newest night's
  folder, what the champion and the newest split were made from, what a way back within the retention needs, and files
  younger than a day. Age is when something was made, not which night it is of.
- **When**: from **Trigger**, while no night is under way. Without **Delete** it only tells what would go, with sizes.
- **Then**: nothing; a way back beyond the retention is refused.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import how_long_to_keep, which_source
from no_concurrent_run import require_no_night
from run_schedule import SHARED

from pipeline_tasks.config.settings import settings

with DAG(
    "apply_retention",
    schedule=None,
    description="Delete, or list, what is older than the retention and needed by nobody",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=which_source() | how_long_to_keep(),
    **SHARED,
):

    @task(execution_timeout=timedelta(hours=2))
    def apply_retention() -> list[dict[str, Any]]:
        """Tell what is old, and delete it where the form says so; return it kind by kind."""
        from dataclasses import asdict

        from pipeline_tasks.maintenance.apply_retention import apply_retention as forget
        from pipeline_tasks.maintenance.apply_retention import say
        from pipeline_tasks.sources.sources import source_of_form

        given = get_current_context()["params"]
        told = forget(settings(), source_of_form(given["source"]), given["retention_days"], delete=given["delete"])
        say(told, print, deleted=given["delete"])
        return [asdict(leaving) for leaving in told if leaving.count]

    require_no_night() >> apply_retention()
