"""Go back to an earlier day: its champion model, its recommendations, or both.

This DAG moves the model's alias `champion` to the version that computed the recommendations of that day. It gives the
ten gold tables the rows that they had then. The task logs show the state before and after.

A rollback adds one snapshot to each table and deletes nothing. Readers see the earlier rows at once, in all tables. To
undo it, run the DAG again with the later day.

**When to run it.** Start it with **Trigger** while no job of the source runs, and preferably while no nightly run is
under way: that run would publish its tables afterwards. There is no schedule.

**When it fails.** A snapshot that has expired, or a model version that was deleted, is refused before anything
changes. The log of the failed task names the remedy. Clear the task to run it again: every task can be repeated.

**Afterwards.** Events, sequences and splits stay as they are. The next nightly run retrains where a retrain is due, and
may promote a new champion. Find out first what was wrong, or let a person approve promotions (`approval`).
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import rollback_fields, source_field
from run_schedule import DAG_DEFAULTS

from pipeline_tasks.config.settings import settings

with DAG(
    "roll_back_night",
    schedule=None,
    description="Go back to the champion and the tables of an earlier day",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=source_field() | rollback_fields(),
    **DAG_DEFAULTS,
):
    # The target is chosen once, so that a repeated task goes back to the same publication.
    @task(task_id="choose_way_back")
    def choose_rollback_target() -> dict[str, Any]:
        """Choose the publication to go back to; return it."""
        from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target as choose
        from pipeline_tasks.run_key import parse_day
        from pipeline_tasks.sources.sources import source_of_form

        form = get_current_context()["params"]
        day = parse_day(form["to_night"]) if form["to_night"] else None
        target = choose(settings(), source_of_form(form["source"]), form["what"], day)
        print(target)
        return target.model_dump(mode="json")

    # The champion comes first: where it cannot be restored, the tables stay as well.
    @task
    def return_champion(target: dict[str, Any]) -> str:
        """Move the alias; return the version before and after."""
        from pipeline_tasks.maintenance.roll_back_night import return_champion as restore
        from pipeline_tasks.maintenance.rollback_target import RollbackTarget

        return restore(settings(), RollbackTarget.model_validate(target))

    @task
    def return_tables(target: dict[str, Any]) -> list[str]:
        """Commit the earlier rows of every gold table; return the days with changed rows."""
        from pipeline_tasks.maintenance.roll_back_night import return_tables as restore
        from pipeline_tasks.maintenance.rollback_target import RollbackTarget

        restored = restore(settings(), RollbackTarget.model_validate(target))
        print("\n".join(map(str, restored)) or "Only the champion was to be restored: the tables stay as they are")
        return sorted({day.isoformat() for table in restored for day in table.days})

    # A type checker sees no type for the values that Airflow passes between tasks.
    target: Any = choose_rollback_target()
    changed_days: Any = return_tables(target)
    return_champion(target) >> changed_days
    if settings().postgres_sink is not None:
        # Postgres is changed after the lake, in a task of its own, as in the nightly run.
        @task(execution_timeout=timedelta(hours=1))
        def return_sunk_nights(target: dict[str, Any], days: list[str]) -> dict[str, str]:
            """Copy the days from the lake to the application's Postgres; return what was done by day."""
            from pipeline_tasks.maintenance.sync_postgres import sync_days
            from pipeline_tasks.run_key import parse_day

            return sync_days(settings(), target["source"], [parse_day(day) for day in days])

        return_sunk_nights(target, changed_days)
