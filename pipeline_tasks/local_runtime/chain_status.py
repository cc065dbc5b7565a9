"""What runs in Airflow, since when, how long it usually takes, and what holds it up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from pipeline_tasks.local_runtime.airflow_client import AirflowClient, RunState, TaskRun
from pipeline_tasks.local_runtime.chain_picture import DagPlan, duration_text, task_state
from pipeline_tasks.local_runtime.chain_run import CHAIN

_ENDED: Final = {"success", "skipped"}
_NOTEWORTHY: Final = ("failed", "up_for_retry", "running")
_SLOW_FACTOR: Final = 2.0
_SLOW_SECONDS: Final = 60.0
"""A task is slow from this factor and this number of seconds above its usual time on. Short tasks vary more."""


@dataclass(frozen=True)
class TaskStatus:
    """A task that has not ended well: its state, or what it waits for, in words."""

    task: str
    state: str
    seconds: float
    usual_seconds: float | None

    @property
    def is_slow(self) -> bool:
        """Whether it takes much longer than it usually does."""
        usual = self.usual_seconds
        return usual is not None and self.seconds > max(_SLOW_FACTOR * usual, usual + _SLOW_SECONDS)


@dataclass(frozen=True)
class RunStatus:
    """A run of a DAG, with its tasks that have not ended well."""

    run: RunState
    usual_seconds: float | None
    tasks: Sequence[TaskStatus]

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON has it; times are ISO 8601 in UTC."""
        one = self.run
        tasks = [vars(task) | {"is_slow": task.is_slow} for task in self.tasks]
        return {
            **{"dag_id": one.run.dag_id, "run_id": one.run.run_id, "run_key": one.key, "state": one.state},
            "started": one.started.isoformat() if one.started else None,
            **{"seconds": one.seconds, "usual_seconds": self.usual_seconds, "tasks": tasks},
        }


def find_task(airflow: AirflowClient, named: str | None) -> tuple[RunState, TaskRun] | None:
    """Return the task whose log is wanted, with its run; None if there is none.

    It is the latest instance of the task that is `named`, by id or by label. Without a name it is the first failed task
    of the latest run that has one, or the running one.
    """
    runs = [*reversed(airflow.active_runs()), *(run for dag_id in CHAIN if (run := airflow.latest_run(dag_id)))]
    begun = [(run.started, run) for run in runs if run.started]
    for _, run in sorted(begun, key=lambda one: one[0], reverse=True):
        tasks = [task for task in airflow.tasks(run.run) if task.try_number]
        wanted = [task for task in tasks if named in (task.task_id, task.label)]
        if named is None:
            wanted = [task for state in _NOTEWORTHY for task in tasks if task.state == state]
        if wanted:
            return run, wanted[0]
    return None


def read_status(airflow: AirflowClient) -> list[RunStatus]:
    """Return the runs that are under way; where there are none, the latest run of each DAG of the chain."""
    active = airflow.active_runs()
    latest = [] if active else [run for dag_id in CHAIN if (run := airflow.latest_run(dag_id))]
    return [_run_status(airflow, run) for run in active or latest]


def _run_status(airflow: AirflowClient, run: RunState) -> RunStatus:
    dag_id = run.run.dag_id
    usual = airflow.usual_run_seconds(dag_id)
    if run.state not in {"running", "failed"}:
        return RunStatus(run, usual, [])
    plan, tasks = DagPlan(airflow.upstream_tasks(dag_id), airflow.usual_seconds(dag_id), usual), airflow.tasks(run.run)
    order = {task_id: number for number, task_id in enumerate(plan.upstream)}
    open_tasks = [task for task in tasks if task.state not in _ENDED]
    open_tasks.sort(key=lambda task: (order.get(task.task_id, len(order)), task.map_index))
    return RunStatus(
        run,
        usual,
        [
            TaskStatus(task.label, str(task_state(task, plan, tasks)), task.seconds, plan.usual_seconds.get(task.label))
            for task in open_tasks
        ],
    )


def status_table(statuses: Sequence[RunStatus]) -> Table:
    """Return the runs and their tasks as a table for a terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("DAG, task", "state", "since"):
        table.add_column(name)
    for name in ("time", "usual"):
        table.add_column(name, justify="right")
    for status in statuses:
        run = status.run
        since = f"{run.started:%Y-%m-%d %H:%M} UTC" if run.started else "an earlier run must end first"
        heading = Text(f"{run.run.dag_id} {run.key or ''}".strip(), "bold")
        usual = duration_text(status.usual_seconds)
        table.add_row(heading, Text(run.state), Text(since), duration_text(run.seconds), usual)
        for task in status.tasks:
            shown = Text(f"{task.state}: slower than usual" if task.is_slow else task.state)
            seconds = duration_text(task.seconds) if task.seconds else ""
            table.add_row(Text(f"  {task.task}"), shown, "", seconds, duration_text(task.usual_seconds))
    return table
