"""The DAG runs of a night, from Airflow's database, with addresses relative to the pages."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

from pipeline_tasks.config.settings import settings
from pipeline_tasks.run_key import RunKey, partition_key
from pipeline_tasks.sources.sources import source_name

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

    from pipeline_tasks.pages.pages import Choice

CHAIN: Final = ("prepare_behavior", "fine_tune_recommender", "nightly_recommendations")
_MOST: Final = 12


def night_runs(user: "BaseUser", choice: "Choice") -> list[dict[str, Any]]:
    """Return the newest runs of the three DAGs, those of the chosen night first, with dag, state, times and address.

    Runs of a DAG that the user may not read are left out. A run from a form has no partition key; it is listed by the
    date of its form.
    """
    permitted = [dag for dag in CHAIN if _may_read(user, dag)]
    wanted = partition_key(RunKey(choice.source, choice.ds), source_name(settings().source)) if choice.ds else ""
    newest = select(DagRun).where(DagRun.dag_id.in_(permitted)).order_by(DagRun.run_after.desc()).limit(_MOST)
    of_night = newest.where(DagRun.partition_key == wanted)
    with create_session(scoped=False) as session:
        found = {run.id: _described(run, wanted) for query in (of_night, newest) for run in session.scalars(query)}
    return list(found.values())[:_MOST]


def _described(run: DagRun, wanted: str) -> dict[str, Any]:
    night = run.partition_key or str((run.conf or {}).get("target_date") or "")
    return {
        "dag": run.dag_id,
        "state": str(run.state),
        "night": night,
        "chosen": night == wanted,
        "start": run.start_date,
        "seconds": (run.end_date - run.start_date).total_seconds() if run.end_date and run.start_date else None,
        "href": f"../dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}",
    }


def _may_read(user: "BaseUser", dag: str) -> bool:
    return get_auth_manager().is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag), user=user
    )
