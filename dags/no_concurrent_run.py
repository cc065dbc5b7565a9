"""Work that must not meet a night under way."""

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from pipeline_tasks.local_runtime.chain_run import CHAIN

UNDER_WAY = ["running", "queued"]


@task
def require_no_night() -> str:
    """Fail at once while a DAG of the night runs: what its tasks have staged would be published afterwards."""
    instance = get_current_context()["ti"]
    busy = [dag_id for dag_id in CHAIN if instance.get_dr_count(dag_id=dag_id, states=UNDER_WAY)]
    if busy:
        raise AirflowFailException(
            f"{' and '.join(busy)} run now: wait until they have ended, or end them, then clear this task"
        )
    return "no night is under way"
