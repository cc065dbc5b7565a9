"""A client of Airflow's REST API (v2), for the command line."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from types import TracebackType
from typing import Any, Final, Self

import httpx

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password

_RETRY_SECONDS: Final = (1, 2, 5, 10)
"""Pauses between attempts, because a chain that is followed for hours must survive a short failure of the API."""


class AirflowRefusedError(ValueError):
    """Airflow returned an error for a request."""


@dataclass(frozen=True)
class DagRun:
    """One run of one DAG."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class RunState:
    """How far a run of a DAG is."""

    run: DagRun
    key: str | None
    """Partition key: the source and the date of the run."""
    state: str
    """queued, running, success or failed."""
    started: datetime | None
    seconds: float
    """How long it took, or has taken so far."""


@dataclass(frozen=True)
class TaskRun:
    """One task instance as Airflow shows it."""

    task_id: str
    label: str
    """`task_id` with the name of the mapped instance."""
    state: str | None
    try_number: int
    map_index: int
    seconds: float
    """How long it took, or has taken so far."""
    pool: str = ""


class AirflowClient:
    """A logged-in client; use it as a context manager."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address
        try:
            response = httpx.post(f"{address}/auth/token", json={"username": user, "password": password}, timeout=60)
        except httpx.TransportError as error:
            raise ConnectionError(
                f"Airflow is not reachable at {address} ({error}): start it with `nightshelf up`"
            ) from None
        if not response.is_success:
            raise PermissionError(f"Airflow at {address} refused the login of {user}: {response.text}")
        token = response.json()["access_token"]
        # A training on the same two cores may delay the API.
        self._http = httpx.Client(
            base_url=f"{address}/api/v2",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=120,
        )

    @classmethod
    def embedded(cls, settings: Settings) -> Self:
        """Return a client of the Airflow on this machine."""
        return cls(f"http://127.0.0.1:{settings.server.airflow_port}", ADMIN, admin_password(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool; an existing pool keeps its slots."""
        body = {"name": name, "slots": slots, "description": description}
        response = self._http.post("/pools", json=body)
        if response.status_code != httpx.codes.CONFLICT:
            self._checked(response)

    def has_dag(self, dag_id: str) -> bool:
        """Return whether Airflow has read the DAG and can trigger it."""
        return self._http.get(f"/dags/{dag_id}").is_success

    def form_fields(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Return the JSON schema of each field of the DAG's form, by name."""
        return {name: field["schema"] for name, field in self._get(f"/dags/{dag_id}/details")["params"].items()}

    def import_errors(self) -> list[str]:
        """Return the errors of reading DAG files."""
        errors = self._get("/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def trigger(self, dag_id: str, key: str | None, conf: dict[str, Any]) -> DagRun:
        """Trigger a run and return it."""
        body = {"logical_date": None, "conf": conf, "partition_key": key}
        return DagRun(dag_id, self._checked(self._http.post(f"/dags/{dag_id}/dagRuns", json=body))["dag_run_id"])

    def state(self, run: DagRun) -> str:
        """Return the run's state: queued, running, success or failed."""
        state: str = self._get(f"/dags/{run.dag_id}/dagRuns/{run.run_id}")["state"]
        return state

    def active_runs(self) -> list[RunState]:
        """Return the queued and running runs of all DAGs, the earliest first."""
        query = "state=queued&state=running&order_by=run_after&limit=100"
        return [_run_state(entry) for entry in self._get(f"/dags/~/dagRuns?{query}")["dag_runs"]]

    def latest_run(self, dag_id: str) -> RunState | None:
        """Return the latest run of the DAG, or None if it has never run or Airflow has not read it yet."""
        if not self.has_dag(dag_id):
            return None
        runs = self._get(f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
        return next((_run_state(entry) for entry in runs), None)

    def unhealthy_parts(self) -> list[str]:
        """Return the parts of Airflow without which no task goes on, and which do not respond."""
        health = self._get("/monitor/health")
        needed = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        # A part that is not started has no status.
        return [name for name in needed if (health.get(name) or {}).get("status") == "unhealthy"]

    def tasks(self, run: DagRun) -> list[TaskRun]:
        """Return the run's task instances."""
        found = self._get(f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances?limit=100")["task_instances"]
        return [_task_run(entry) for entry in found]

    def upstream_tasks(self, dag_id: str) -> dict[str, list[str]]:
        """Return for each task of the DAG the tasks that it follows, each task after these."""
        following = {
            task["task_id"]: task["downstream_task_ids"] for task in self._get(f"/dags/{dag_id}/tasks")["tasks"]
        }
        upstream = {name: [other for other in following if name in following[other]] for name in following}
        return {name: upstream[name] for name in TopologicalSorter(upstream).static_order()}

    def usual_seconds(self, dag_id: str) -> dict[str, float]:
        """Return by label how long each task of the DAG took when it last succeeded."""
        query = "state=success&order_by=-start_date&limit=100"
        latest_first = self._get(f"/dags/{dag_id}/dagRuns/~/taskInstances?{query}")["task_instances"]
        return {task.label: task.seconds for task in map(_task_run, reversed(latest_first))}

    def usual_run_seconds(self, dag_id: str) -> float | None:
        """Return how long the last successful run of the DAG took, or None if there is none."""
        runs = self._get(f"/dags/{dag_id}/dagRuns?state=success&order_by=-start_date&limit=1")["dag_runs"]
        return next((run["duration"] for run in runs), None)

    def caused_run(self, cause: DagRun, dag_id: str, key: str) -> DagRun | None:
        """Return the run of `dag_id` for the partition `key` that the assets of `cause` have triggered, or None.

        It is found by time, because Airflow 3.3.2 returns an internal error for the runs of an asset while one of them
        is queued.
        """
        since = datetime.fromisoformat(self._get(f"/dags/{cause.dag_id}/dagRuns/{cause.run_id}")["start_date"])
        query = "run_type=asset_triggered&order_by=-run_after&limit=50"
        for run in self._get(f"/dags/{dag_id}/dagRuns?{query}")["dag_runs"]:
            if run["partition_key"] == key and datetime.fromisoformat(run["run_after"]) > since:
                return DagRun(dag_id, run["dag_run_id"])
        return None

    def log_lines(self, run: DagRun, task: TaskRun) -> list[str]:
        """Return the lines of the task's log."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self._get(f"{path}?map_index={task.map_index}")["content"]
        return [line for entry in content for line in _log_text(entry).splitlines()]

    def _get(self, path: str) -> dict[str, Any]:
        for wait in _RETRY_SECONDS:
            try:
                response = self._http.get(path)
            except httpx.TransportError:
                time.sleep(wait)
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return self._checked(response)
            time.sleep(wait)
        try:
            return self._checked(self._http.get(path))
        except httpx.TransportError as error:
            raise ConnectionError(
                f"Airflow is no longer reachable at {self.address} ({error}): see `nightshelf doctor`"
            ) from None

    def _checked(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            is_json = "json" in response.headers["content-type"]
            detail = response.json().get("detail", response.text) if is_json else response.text
            request = response.request
            raise AirflowRefusedError(f"Airflow refused {request.method} {request.url.path}: {detail}")
        body: dict[str, Any] = response.json()
        return body


def _run_state(entry: dict[str, Any]) -> RunState:
    started = entry["start_date"] and datetime.fromisoformat(entry["start_date"])
    run = DagRun(entry["dag_id"], entry["dag_run_id"])
    return RunState(run, entry["partition_key"], entry["state"], started or None, _seconds(entry))


def _task_run(entry: dict[str, Any]) -> TaskRun:
    mapped = entry.get("rendered_map_index") or (str(entry["map_index"]) if entry["map_index"] >= 0 else "")
    label = f"{entry['task_id']} [{mapped}]" if mapped else entry["task_id"]
    return TaskRun(
        *(entry["task_id"], label, entry["state"], entry["try_number"], entry["map_index"]),
        seconds=_seconds(entry),
        pool=entry["pool"],
    )


def _seconds(entry: dict[str, Any]) -> float:
    if entry["duration"] is not None or entry["start_date"] is None:
        return entry["duration"] or 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(entry["start_date"])).total_seconds())


def _log_text(entry: str | dict[str, Any]) -> str:
    if isinstance(entry, str):
        return entry
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return "\n".join([str(entry.get("event", "")), *errors])
