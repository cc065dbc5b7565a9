"""What the command line asks of Airflow's REST API (v2)."""

import time
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password

_PATIENCE_SECONDS: Final = (1, 2, 5, 10)
"""A chain that is followed for hours must not end because the API server hiccuped once."""


class AirflowRefusedError(ValueError):
    """Airflow answered a request with an error."""


@dataclass(frozen=True)
class DagRun:
    """One run of one DAG."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class TaskRun:
    """One task instance as Airflow shows it."""

    task_id: str
    label: str
    """`task_id`, with the name of the mapped instance."""
    state: str | None
    try_number: int
    map_index: int
    seconds: float


class AirflowClient:
    """A logged-in client; use it as a context manager."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address
        try:
            answer = httpx.post(f"{address}/auth/token", json={"username": user, "password": password}, timeout=60)
        except httpx.TransportError as error:
            raise ConnectionError(
                f"Airflow does not answer at {address} ({error}): start it with `nightshelf up`"
            ) from None
        if not answer.is_success:
            raise PermissionError(f"Airflow at {address} refused the login of {user}: {answer.text}")
        token = answer.json()["access_token"]
        # A training on the same two cores may keep the API waiting.
        self._http = httpx.Client(
            base_url=f"{address}/api/v2",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=120,
        )

    @classmethod
    def embedded(cls, settings: Settings) -> Self:
        """Return a client of this machine's Airflow."""
        return cls(f"http://127.0.0.1:{settings.server.airflow_port}", ADMIN, admin_password(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Make the pool, or leave it as somebody has set it."""
        body = {"name": name, "slots": slots, "description": description}
        answer = self._http.post("/pools", json=body)
        if answer.status_code != httpx.codes.CONFLICT:
            self._checked(answer)

    def knows_dag(self, dag_id: str) -> bool:
        """Tell whether the DAG has been read and can be triggered."""
        return self._http.get(f"/dags/{dag_id}").is_success

    def form_fields(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Return the JSON schema of each field of the DAG's form, by name."""
        return {name: field["schema"] for name, field in self._get(f"/dags/{dag_id}/details")["params"].items()}

    def import_errors(self) -> list[str]:
        """Return what went wrong reading DAG files."""
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

    def tasks(self, run: DagRun) -> list[TaskRun]:
        """Return the run's task instances."""
        found = self._get(f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances?limit=100")["task_instances"]
        return [_task_run(entry) for entry in found]

    def caused_run(self, cause: DagRun, dag_id: str, key: str) -> DagRun | None:
        """Return the run of `dag_id` for the partition `key` that the assets of `cause` gave rise to, if it is there.

        Found by time, because Airflow 3.3.2 answers the question for an asset's runs with an internal error while
        one of them is queued.
        """
        since = datetime.fromisoformat(self._get(f"/dags/{cause.dag_id}/dagRuns/{cause.run_id}")["start_date"])
        query = "run_type=asset_triggered&order_by=-run_after&limit=50"
        for run in self._get(f"/dags/{dag_id}/dagRuns?{query}")["dag_runs"]:
            if run["partition_key"] == key and datetime.fromisoformat(run["run_after"]) > since:
                return DagRun(dag_id, run["dag_run_id"])
        return None

    def log_lines(self, run: DagRun, task: TaskRun) -> list[str]:
        """Return the task's log, a line each."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self._get(f"{path}?map_index={task.map_index}")["content"]
        return [line for entry in content for line in _log_text(entry).splitlines()]

    def _get(self, path: str) -> dict[str, Any]:
        for wait in _PATIENCE_SECONDS:
            try:
                answer = self._http.get(path)
            except httpx.TransportError:
                time.sleep(wait)
                continue
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return self._checked(answer)
            time.sleep(wait)
        try:
            return self._checked(self._http.get(path))
        except httpx.TransportError as error:
            raise ConnectionError(
                f"Airflow no longer answers at {self.address} ({error}): see `nightshelf doctor`"
            ) from None

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            detail = (
                answer.json().get("detail", answer.text) if "json" in answer.headers["content-type"] else answer.text
            )
            raise AirflowRefusedError(f"Airflow refused {answer.request.method} {answer.request.url.path}: {detail}")
        body: dict[str, Any] = answer.json()
        return body


def _task_run(entry: dict[str, Any]) -> TaskRun:
    mapped = entry.get("rendered_map_index") or (str(entry["map_index"]) if entry["map_index"] >= 0 else "")
    label = f"{entry['task_id']} [{mapped}]" if mapped else entry["task_id"]
    seconds = entry["duration"] or 0.0
    return TaskRun(entry["task_id"], label, entry["state"], entry["try_number"], entry["map_index"], seconds)


def _log_text(entry: str | dict[str, Any]) -> str:
    if isinstance(entry, str):
        return entry
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return "\n".join([str(entry.get("event", "")), *errors])
