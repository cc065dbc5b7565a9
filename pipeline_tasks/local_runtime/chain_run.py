"""Triggers the chain for a night and follows it through the scheduler, DAG after DAG."""

import re
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from pipeline_tasks.local_runtime.airflow_client import AirflowClient, DagRun, TaskRun
from pipeline_tasks.run_key import RunKey, partition_key

CHAIN: Final = ("prepare_behavior", "fine_tune_recommender", "nightly_recommendations")
POLL_SECONDS: Final = 1.0
HAND_OVER_SECONDS: Final = 120
"""The scheduler makes the next DAG's run 1-3 s after the asset; a busy machine may take longer."""
LOG_LINES: Final = 20


class ChainFailedError(RuntimeError):
    """A task of the chain failed; the message holds its last log lines."""


class Progress(Protocol):
    """Whoever shows how a chain gets on."""

    def running(self, dag_id: str, labels: list[str], seconds: float) -> None:
        """Show what runs now, and for how many seconds the DAG has."""

    def finished(self, dag_id: str, task: TaskRun) -> None:
        """Show a task that has ended."""


def trigger_night(airflow: AirflowClient, run_key: RunKey, default_source: str, choices: dict[str, Any]) -> DagRun:
    """Trigger the chain's first DAG for the night; `choices` are fields of the forms of any of its DAGs.

    The key of another source than the nightly one is given by the first DAG itself, because a daily timetable
    takes only days.
    """
    key = partition_key(RunKey(default_source, run_key.ds), default_source)
    return airflow.trigger(CHAIN[0], key, {"source": run_key.source, **choices})


def chain_fields(airflow: AirflowClient) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of every field of the forms of the chain's DAGs, by name."""
    return {name: schema for dag_id in CHAIN for name, schema in airflow.form_fields(dag_id).items()}


def follow_chain(airflow: AirflowClient, first: DagRun, key: str, progress: Progress) -> list[DagRun]:
    """Follow the chain of the night `key` that begins with `first` to its end and return its runs.

    Raises ChainFailedError with the failing task's last log lines, TimeoutError when a DAG is not started.
    """
    runs = [first]
    for following in (*CHAIN[1:], None):
        follow_run(airflow, runs[-1], progress)
        if following is not None:
            runs.append(_await_caused_run(airflow, runs[-1], following, key))
    return runs


def follow_run(airflow: AirflowClient, run: DagRun, progress: Progress) -> None:
    """Follow one DAG run to its end. Raises ChainFailedError."""
    began = time.monotonic()
    told: set[tuple[str, int]] = set()
    while True:
        state = airflow.state(run)
        tasks = airflow.tasks(run)
        for task in tasks:
            if task.state in {"success", "failed"} and (task.label, task.try_number) not in told:
                told.add((task.label, task.try_number))
                progress.finished(run.dag_id, task)
        if state == "failed":
            raise ChainFailedError(_why(airflow, run, tasks))
        if state == "success":
            return
        progress.running(run.dag_id, _at_work(state, tasks), time.monotonic() - began)
        time.sleep(POLL_SECONDS)


def await_dags(airflow: AirflowClient, tell: Callable[[str], None]) -> None:
    """Wait until Airflow has read the chain's DAGs. Raises ValueError with the import errors when it cannot."""
    deadline = time.monotonic() + HAND_OVER_SECONDS
    while missing := [dag_id for dag_id in CHAIN if not airflow.knows_dag(dag_id)]:
        if errors := airflow.import_errors():
            raise ValueError(f"Airflow cannot read the DAGs: {errors[0]}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow has not read {', '.join(missing)} after {HAND_OVER_SECONDS} s")
        tell(f"waiting for Airflow to read {', '.join(missing)}")
        time.sleep(POLL_SECONDS)


def _await_caused_run(airflow: AirflowClient, run: DagRun, dag_id: str, key: str) -> DagRun:
    deadline = time.monotonic() + HAND_OVER_SECONDS
    while time.monotonic() < deadline:
        if caused := airflow.caused_run(run, dag_id, key):
            return caused
        time.sleep(POLL_SECONDS)
    raise TimeoutError(
        f"{run.dag_id} is done, but {dag_id} was not started within {HAND_OVER_SECONDS} s: "
        f"see whether it is paused at {airflow.address}/dags/{dag_id}"
    )


def _at_work(state: str, tasks: list[TaskRun]) -> list[str]:
    if state == "queued":
        return ["waiting for an earlier run of this DAG"]
    labels = [task.label for task in tasks if task.state == "running"]
    labels += [f"{task.label} (will be retried)" for task in tasks if task.state == "up_for_retry"]
    asked = [task.label for task in tasks if task.state == "awaiting_input"]
    return labels + [f"{label} (waits for a person: see Required Actions)" for label in asked]


def _why(airflow: AirflowClient, run: DagRun, tasks: list[TaskRun]) -> str:
    address = f"{airflow.address}/dags/{run.dag_id}/runs/{run.run_id}"
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return f"{run.dag_id} failed without a failed task: see {address}"
    lines = telling_lines(airflow.log_lines(run, failed[0]))
    tail = "\n".join(lines[-LOG_LINES:])
    return (
        f"{run.dag_id}.{failed[0].label} failed; all of its log: {address}/tasks/{failed[0].task_id}\n"
        f"It ends:\n{tail}\n\n{clear_error(lines)}"
    )


def telling_lines(log: list[str]) -> list[str]:
    """Return the log without empty lines, Airflow's grouping marks and Spark's own chatter."""
    return [line for line in log if line.strip() and not _CHATTER.search(line)]


def clear_error(lines: list[str]) -> str:
    """Return the last line in which a job says what was wrong, else the last line of all."""
    if any(line.startswith(_STOPPED) for line in lines):
        return "Stopped from outside: somebody marked or cleared the task, or its run, in Airflow"
    said = [line for line in lines if _ERROR.match(line) and not line.startswith("AirflowException")]
    return (said or lines or ["its log is empty"])[-1]


_CHATTER: Final = re.compile(r"^::(end)?group::|^(\d\d[/: ]){6}(INFO|WARN) |^Task failed with exception$")
_STOPPED: Final = "Server indicated the task shouldn't be running anymore"
"""What a worker says of a task whose state was changed under it; the errors that follow are of its death alone."""
_ERROR: Final = re.compile(r"^(\w+\.)*[A-Z]\w*(Error|Exception|Timeout|Exit): ")
