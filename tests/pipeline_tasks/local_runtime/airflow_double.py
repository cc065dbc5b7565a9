"""Stands for Airflow's REST API: answers of the form that Airflow 3.3.2 returns."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from pipeline_tasks.local_runtime.airflow_client import AirflowClient
from pipeline_tasks.local_runtime.chain_run import CHAIN


def dag_run(dag_id: str, state: str, seconds: float, **more: object) -> dict[str, Any]:
    """Return a run that began `seconds` ago; one that has ended took as long."""
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    started = None if state == "queued" else began.isoformat()
    run: dict[str, Any] = {"dag_id": dag_id, "dag_run_id": f"{dag_id}__1", "state": state, "start_date": started}
    run |= {"partition_key": "2026-11-20", "duration": None if state in ("queued", "running") else seconds}
    return run | more


def task(task_id: str, state: str | None, seconds: float = 0.0, **more: object) -> dict[str, Any]:
    """Return a task instance; a running one began `seconds` ago."""
    began = datetime.now(UTC) - timedelta(seconds=seconds) if seconds else None
    known: dict[str, Any] = {
        "task_id": task_id,
        "state": state,
        "duration": None if state == "running" else seconds,
        "pool": "spark",
    }
    known |= {"try_number": 1, "map_index": -1, "rendered_map_index": None}
    return known | {"start_date": began and began.isoformat()} | more


@dataclass
class AirflowDouble:
    """What Airflow knows: runs and tasks by DAG, durations of the last run, logs by task."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    usual: dict[str, float] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    scheduler: str = "healthy"
    read_dags: tuple[str, ...] = CHAIN

    def client(self) -> AirflowClient:
        client = object.__new__(AirflowClient)
        client.address = "http://127.0.0.1:8080"
        client._http = httpx.Client(base_url=f"{client.address}/api/v2", transport=httpx.MockTransport(self.answer))
        return client

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2").strip("/").split("/")
        if path[0] == "dags" and path[1] not in ("~", *self.read_dags):
            return httpx.Response(404, json={"detail": f"The Dag with ID: `{path[1]}` was not found"})
        found = {"dag_id": path[1]} if len(path) == 2 and path[0] == "dags" else self._found(path, request.url.params)
        return httpx.Response(200, json=found)

    def _found(self, path: list[str], query: httpx.QueryParams) -> dict[str, Any]:
        if path == ["monitor", "health"]:
            return {"scheduler": {"status": self.scheduler}, "triggerer": {"status": None}}
        dag_id, what = path[1], path[-1]
        if what == "dagRuns":
            states = query.get_list("state")
            found = [run for run in self.runs if dag_id in ("~", run["dag_id"])]
            return {"dag_runs": [run for run in found if not states or run["state"] in states]}
        if path[-2] == "logs":
            return {"content": [{"event": line} for line in self.logs[path[-3]]]}
        if what == "tasks":
            names = list(self.usual)
            after = [names[number + 1 : number + 2] for number in range(len(names))]
            return {
                "tasks": [
                    {"task_id": name, "downstream_task_ids": then} for name, then in zip(names, after, strict=True)
                ]
            }
        if path[-2:] == ["~", "taskInstances"]:
            return {"task_instances": [task(name, "success", seconds) for name, seconds in self.usual.items()]}
        assert what == "taskInstances", path
        return {"task_instances": self.tasks.get(dag_id, [])}
