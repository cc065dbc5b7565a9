"""What Airflow adds to the work of a run: seconds by task, and in all, for a run that trains and one that does not.

pytest -s tests/benchmarks/bench_airflow_overhead.py

A task that runs a command works from the moment its log says that the command starts until its last line of output,
one whose body is a function of the DAG from the end of Airflow's preparations until the function has returned. Added is
what else passes between the end of the last task that it waited for (or the trigger) and its own end.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.airflow_client import AirflowClient
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password
from pipeline_tasks.local_runtime.chain_run import CHAIN
from tests.benchmarks.side_by_side import write_results
from tests.chain.installation import FIRST, Installation, start_installation

SECOND: Final = "2026-11-20"
STARTS: Final = ("Running command", "Spark-Submit cmd")
READY: Final = "::endgroup::"
RETURNED: Final = "Done. Returned value"
AFTERWARDS: Final = "::group::Post Execute"
EVENTS: Final = os.environ.get("NIGHTSHELF_BENCH_NIGHT_EVENTS", "100000")


@dataclass(frozen=True)
class TimedTask:
    """One task instance, in seconds since the epoch."""

    dag_id: str
    task_id: str
    start: float
    end: float
    work: float
    """Seconds."""
    waited_for: tuple[str, ...]
    queued: float
    """When the run of the DAG was, or when the DAG before it in the chain ended: what lies between counts as added."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    yield from start_installation(tmp_path_factory.mktemp("home"), NIGHTSHELF_SIMULATION__EVENTS=EVENTS)


def test_airflow_overhead(installation: Installation) -> None:
    rows = []
    for ds, size in ((FIRST, "a run that trains"), (SECOND, "a run with a champion")):
        installation.succeed("run", "--date", ds)
        with _client(installation) as airflow:
            rows.append(_row(size, _chain_tasks(airflow)))
    write_results("airflow_overhead", rows)
    assert all(row["ours"] < 1 for row in rows)
    # Of the run that trains: without training there is little work that anything could be a tenth of.
    assert rows[0]["ratio"] < 0.1


def _client(installation: Installation) -> AirflowClient:
    port = installation.environment["NIGHTSHELF_SERVER__AIRFLOW_PORT"]
    return AirflowClient(f"http://127.0.0.1:{port}", ADMIN, admin_password(Settings(home=Path(installation.home))))


def _chain_tasks(airflow: AirflowClient) -> list[TimedTask]:
    tasks: list[TimedTask] = []
    for dag_id in CHAIN:
        tasks += _timed_tasks(airflow, dag_id, max((task.end for task in tasks), default=None))
    return tasks


def _timed_tasks(airflow: AirflowClient, dag_id: str, handed_on: float | None) -> list[TimedTask]:
    """Return the tasks of the DAG's latest run, in order of their end, that ran."""
    [run] = airflow._get(f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
    path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances"
    upstream: dict[str, list[str]] = {}
    for task in airflow._get(f"/dags/{dag_id}/tasks")["tasks"]:
        for following in task["downstream_task_ids"]:
            upstream.setdefault(following, []).append(task["task_id"])
    ran = [one for one in airflow._get(f"{path}?limit=100")["task_instances"] if one["state"] == "success"]
    found = []
    for one in ran:
        entries = airflow._get(f"{path}/{one['task_id']}/logs/{one['try_number']}?map_index={one['map_index']}")
        waited_for = tuple(upstream.get(one["task_id"], ()))
        start, end = _seconds(one["start_date"]), _seconds(one["end_date"])
        work, queued = _work(entries["content"]), handed_on or _seconds(run["queued_at"])
        found.append(TimedTask(dag_id, one["task_id"], start, end, work, waited_for, queued))
    return sorted(found, key=lambda task: task.end)


def _work(entries: Sequence[dict[str, Any]]) -> float:
    """Return the seconds of the task's command, or else of its function."""
    timed = [(entry["timestamp"], str(entry.get("event", ""))) for entry in entries if entry.get("timestamp")]
    after = [number for number, (_, event) in enumerate(timed) if event == AFTERWARDS]
    lines = timed[: after[0]] if after else timed
    begun = [moment for moment, event in lines if event.startswith(STARTS)]
    if begun:
        return _seconds(lines[-1][0]) - _seconds(begun[0])
    ready = [moment for moment, event in lines if event == READY]
    returned = [moment for moment, event in lines if event.startswith(RETURNED)]
    return _seconds(returned[0]) - _seconds(ready[0]) if ready and returned else 0.0


def _row(size: str, tasks: list[TimedTask]) -> dict[str, Any]:
    ends: dict[tuple[str, str], float] = {}
    for task in tasks:
        ends[task.dag_id, task.task_id] = max(task.end, ends.get((task.dag_id, task.task_id), 0.0))
    added: dict[str, float] = {}
    for task in tasks:
        # One candidate trains at a time: the second waits for the first, not for Airflow.
        siblings = [one.end for one in tasks if one.task_id == task.task_id and one.end <= task.start]
        ready = max([task.queued, *siblings, *(ends.get((task.dag_id, name), 0.0) for name in task.waited_for)])
        seconds = task.end - ready - task.work
        added[task.task_id] = added.get(task.task_id, 0.0) + seconds
        print(f"{task.dag_id}.{task.task_id}: work {task.work:.1f} s, added {seconds:.1f} s", flush=True)
    began = min(task.queued for task in tasks)
    work, all_added = sum(task.work for task in tasks), sum(added.values())
    return {
        "name": "what Airflow adds",
        "size": f"{size}, {EVENTS} events, {len(tasks)} tasks",
        "ours": round(all_added / len(tasks), 2),
        "peer": "work alone, seconds a task",
        "peer_figure": round(work / len(tasks), 2),
        "ratio": round(all_added / work, 3),
        "unit": "seconds a task added",
        "seconds": round(max(ends.values()) - began, 1),
        "added": {name: round(seconds, 2) for name, seconds in added.items()},
    }


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
