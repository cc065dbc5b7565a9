"""The first task of maintenance that must not run beside a nightly run."""

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from pipeline_tasks.local_runtime.chain_run import CHAIN

UNFINISHED = ["running", "queued"]


@task
def require_no_night() -> str:
    """Fail at once while a DAG of the nightly run is unfinished: its staged files would be published afterwards."""
    instance = get_current_context()["ti"]
    busy = [dag_id for dag_id in CHAIN if instance.get_dr_count(dag_id=dag_id, states=UNFINISHED)]
    if busy:
        raise AirflowFailException(
            f"Runs of {' and '.join(busy)} are unfinished: wait for their end, or end them, then clear this task"
        )
    return "no nightly run is under way"
