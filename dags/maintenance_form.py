"""The fields of the maintenance forms, and the first task of maintenance that must not run beside a nightly run."""

from typing import get_args

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from run_form import run_fields

from pipeline_tasks.config.settings import settings
from pipeline_tasks.maintenance.rollback_target import What

UNFINISHED = ["running", "queued"]


def source_field() -> dict[str, Param]:
    """Return the field of the source."""
    return {"source": run_fields()["source"]}


def rollback_fields() -> dict[str, Param]:
    """Return the fields of a rollback."""
    return {
        "what": Param(
            "both",
            type="string",
            enum=list(get_args(What)),
            values_display={
                "both": "both: champion and tables",
                "champion": "champion: only the model's alias",
                "tables": "tables: only the ten gold tables",
            },
            title="What",
            description="What to restore. Choose the champion where a gate closed after a promotion: the published "
            "recommendations are then still the old ones.",
        ),
        "to_night": Param(
            None,
            type=["null", "string"],
            format="date",
            title="To date",
            description="The day to go back to; the rows of later days leave the tables. Empty: the publication before "
            "the present one.",
        ),
    }


def erasure_fields() -> dict[str, Param]:
    """Return the field of the users to erase."""
    return {
        "user_keys": Param(
            [],
            type="array",
            items={"type": "string", "minLength": 1},
            title="Users",
            description="One user_key in each line, as in the tables. Empty: erase the users of earlier runs again. "
            "Airflow keeps the keys with the run: delete the run afterwards.",
        )
    }


def retention_fields() -> dict[str, Param]:
    """Return the fields of the retention."""
    return {
        "retention_days": Param(
            settings().retention_days,
            type="integer",
            minimum=2,
            title="Keep (days)",
            description="Data written within this number of days stays, and all that a rollback to that time needs.",
        ),
        "delete": Param(
            False,
            type="boolean",
            title="Delete",
            description="Off: only list what would be deleted, with sizes.",
        ),
    }


def arm_report_fields() -> dict[str, Param]:
    """Return the fields of the A/B report."""
    return {
        "days": Param(
            14,
            type="integer",
            minimum=1,
            title="Impressions of (days)",
            description="Number of days of impressions, up to the horizon of purchases before the date.",
        ),
        "horizon_days": Param(
            7,
            type="integer",
            minimum=0,
            title="Purchases within (days)",
            description="A purchase of the same item counts for an impression within this number of days.",
        ),
    }


@task
def require_no_night() -> str:
    """Fail at once while a DAG of the nightly run is unfinished: its staged files would be published afterwards."""
    from pipeline_tasks.local_runtime.chain_run import CHAIN

    instance = get_current_context()["ti"]
    busy = [dag_id for dag_id in CHAIN if instance.get_dr_count(dag_id=dag_id, states=UNFINISHED)]
    if busy:
        raise AirflowFailException(
            f"Runs of {' and '.join(busy)} are unfinished: wait for their end, or end them, then clear this task"
        )
    return "no nightly run is under way"
