"""Go back to an earlier night: its champion, its tables, or both.

- **What**: moves the model's alias to the version that filled that night's shelves, and gives the ten gold tables back
  the rows that they had then. The log says what was and what is.
- **Safety**: a way back is one more snapshot: nothing is deleted, readers see it at once, and it can be undone by going
  to the later night. What has expired, or a version that was deleted, is refused before anything changes. Every task
  can be run again with the same result.
- **When**: from **Trigger**, while no job of the source runs; best while no night is under way, whose tables would
  follow it.
- **Then**: events, sequences and splits stay as they are, as does the next night: it retrains where one is due, and may
  promote anew. Find out first what was wrong.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import rollback_target, which_source
from run_schedule import SHARED

from pipeline_tasks.config.settings import settings

with DAG(
    "roll_back_night",
    schedule=None,
    description="Go back to the champion and the tables of an earlier night",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=which_source() | rollback_target(),
    **SHARED,
):
    # Settled once: each task behind it, run again, comes to the same place.
    @task(task_id="choose_way_back")
    def choose_rollback_target() -> dict[str, Any]:
        """Settle which publication it goes back to; return it."""
        from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target as choose
        from pipeline_tasks.run_key import parse_day
        from pipeline_tasks.sources.sources import source_of_form

        given = get_current_context()["params"]
        day = parse_day(given["to_night"]) if given["to_night"] else None
        way = choose(settings(), source_of_form(given["source"]), given["what"], day)
        print(way)
        return way.model_dump(mode="json")

    # Before the tables: where it cannot be, they stay as well.
    @task
    def return_champion(way: dict[str, Any]) -> str:
        """Move the alias; return what was and what is."""
        from pipeline_tasks.maintenance.roll_back_night import return_champion as move
        from pipeline_tasks.maintenance.rollback_target import RollbackTarget

        return move(settings(), RollbackTarget.model_validate(way))

    @task
    def return_tables(way: dict[str, Any]) -> list[str]:
        """Commit the earlier rows of every gold table; return the nights that are other ones now."""
        from pipeline_tasks.maintenance.roll_back_night import return_tables as restore
        from pipeline_tasks.maintenance.rollback_target import RollbackTarget

        restored = restore(settings(), RollbackTarget.model_validate(way))
        print("\n".join(map(str, restored)) or "the tables were not asked for: they stay")
        return sorted({day.isoformat() for one in restored for day in one.days})

    # What Airflow hands from task to task is, to a type checker, an argument of no known type.
    way: Any = choose_rollback_target()
    returned: Any = return_tables(way)
    return_champion(way) >> returned
    if settings().postgres_sink is not None:
        # Behind the lake and apart from it, as on any night.
        @task(execution_timeout=timedelta(hours=1))
        def return_sunk_nights(way: dict[str, Any], days: list[str]) -> dict[str, str]:
            """Let the application's Postgres follow; return what was done by night."""
            from pipeline_tasks.maintenance.sync_postgres import follow_nights
            from pipeline_tasks.run_key import parse_day

            return follow_nights(settings(), way["source"], [parse_day(day) for day in days])

        return_sunk_nights(way, returned)
