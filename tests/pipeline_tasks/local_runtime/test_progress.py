"""The lines and the live picture of a chain. Payloads have the form that Airflow 3.3.2 returned for a run."""

import io
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Final, Self

import httpx
import pytest
from rich.console import Console

from pipeline_tasks.local_runtime import airflow_client, chain_picture, chain_run
from pipeline_tasks.local_runtime.airflow_client import AirflowClient, DagRun
from pipeline_tasks.local_runtime.chain_run import ChainFailedError, follow_run
from pipeline_tasks.local_runtime.progress import LineProgress, LiveProgress, Progress, progress_on
from pipeline_tasks.local_runtime.servers import ServerStart

RUN: Final = DagRun("prepare_behavior", "manual__1")
TASKS: Final = {"land": ["clean"], "clean": ["validate"], "validate": ["publish"], "publish": []}
NOW: Final = datetime(2026, 11, 20, tzinfo=UTC)
SERVERS: Final = [ServerStart("airflow", 8080, 31.4, True), ServerStart("spark", 15002, 7.6, False)]


def instance(task_id: str, state: str | None, duration: float | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a task instance; a running one began 75 s ago."""
    began = None if state in {None, "scheduled", "queued"} else NOW - timedelta(seconds=75)
    known = {
        "task_id": task_id,
        "state": state,
        "duration": duration,
        "try_number": 1,
        "map_index": -1,
        "pool": "spark",
    }
    return known | {"rendered_map_index": None, "start_date": began and began.isoformat()} | more


LAST: Final = [
    instance("land", "success", 62.0),
    instance("clean", "success", 130.0),
    instance("land", "success", 999.0),
    instance("train", "success", 3725.0, map_index=1, rendered_map_index="lora"),
]
"""The task instances that succeeded, the latest first."""


class StoppedClock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(NOW.timestamp(), tz)


class Airflow:
    """Answers as Airflow does while a run goes on, one state of the run after the other."""

    def __init__(self, *states: tuple[str, list[dict[str, Any]]]) -> None:
        self.states = list(states)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2/dags/prepare_behavior")
        if path == "/tasks":
            tasks = [{"task_id": name, "downstream_task_ids": after} for name, after in reversed(TASKS.items())]
            return httpx.Response(200, json={"tasks": tasks})
        if path == "/dagRuns/~/taskInstances":
            return httpx.Response(200, json={"task_instances": LAST})
        if path == "/dagRuns":
            return httpx.Response(200, json={"dag_runs": [{"duration": 245.2}]})
        if path.endswith("/taskInstances"):
            return httpx.Response(200, json={"task_instances": self.states.pop(0)[1]})
        if path.endswith("/logs/1"):
            return httpx.Response(200, json={"content": [{"event": "ValueError: no column x"}]})
        assert path == f"/dagRuns/{RUN.run_id}"
        return httpx.Response(200, json={"state": self.states[0][0]})


def client_of(airflow: Airflow) -> AirflowClient:
    client = object.__new__(AirflowClient)
    client.address = "http://127.0.0.1:8080"
    client._http = httpx.Client(base_url=f"{client.address}/api/v2", transport=httpx.MockTransport(airflow.answer))
    return client


def terminal() -> Console:
    return Console(file=io.StringIO(), width=110, height=60, force_terminal=True, record=True)


def follow(progress: Progress, *states: tuple[str, list[dict[str, Any]]]) -> None:
    with client_of(Airflow(*states)) as airflow, progress:
        progress.plan(airflow, ["prepare_behavior"])
        follow_run(airflow, RUN, progress)


def drawn(progress: LiveProgress) -> list[str]:
    """Return the lines of the picture, with one space for many."""
    console = Console(file=io.StringIO(), width=110, record=True)
    console.print(progress.picture.render())
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_run, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(airflow_client, "datetime", StoppedClock)
    monkeypatch.setattr(chain_picture, "time", SimpleNamespace(monotonic=lambda: 100.0))


HALF: Final = (
    "running",
    [
        instance("publish", None, pool="default_pool"),
        instance("validate", "queued"),
        instance("clean", "running"),
        instance("land", "success", 58.2),
    ],
)
DONE: Final = ("success", [instance(name, "success", 58.2) for name in TASKS])


def test_only_a_terminal_gets_a_picture() -> None:
    assert isinstance(progress_on(terminal()), LiveProgress)
    assert isinstance(progress_on(Console(file=io.StringIO())), LineProgress)


def test_lines_name_each_ended_task_once_and_whole() -> None:
    shown = io.StringIO()
    lora = instance("train", "success", 141.2, map_index=1, rendered_map_index="lora")
    follow(LineProgress(Console(file=shown, width=120)), HALF, ("running", [*HALF[1], lora]), DONE)
    assert shown.getvalue().count("prepare_behavior.land  58.2 s") == 1
    assert "done   prepare_behavior.train [lora]  141.2 s" in shown.getvalue()
    assert len(shown.getvalue().splitlines()) == len(TASKS) + 1


def test_servers_are_drawn_as_many_as_there_are() -> None:
    progress = LiveProgress(terminal())
    progress.show_servers(SERVERS)
    assert drawn(progress)[1:] == ["airflow ready on port 8080 31 s", "spark starting on port 15002 8 s"]


def test_the_running_dag_shows_its_tasks_in_their_order_with_times_and_what_they_wait_for() -> None:
    progress = LiveProgress(terminal())
    with client_of(Airflow(HALF)) as airflow:
        progress.plan(airflow, ["prepare_behavior"])
        assert drawn(progress)[1:] == ["prepare_behavior waits 4:05"]
        progress.show_run(RUN.dag_id, "running", airflow.tasks(RUN))
    assert drawn(progress)[1:] == [
        "prepare_behavior running 0 s 4:05",
        "land done 58 s 1:02",
        "clean running 1:15 2:10",
        "validate waits for a free slot of the pool spark",
        "publish waits for validate",
    ]


def test_what_is_waited_for_between_runs_is_drawn() -> None:
    progress = LiveProgress(terminal())
    progress.show_run(RUN.dag_id, "queued", [])
    assert drawn(progress)[-1] == "waiting until an earlier run of this DAG ends"
    progress.show_wait("Airflow starts nightly_recommendations")
    assert drawn(progress)[-1] == "waiting until Airflow starts nightly_recommendations"


def test_an_ended_dag_is_one_line_until_the_last_picture() -> None:
    progress = LiveProgress(terminal())
    with client_of(Airflow(HALF, DONE)) as airflow, progress:
        progress.plan(airflow, ["prepare_behavior"])
        follow_run(airflow, RUN, progress)
        assert drawn(progress)[1:] == ["prepare_behavior done 0 s 4:05"]
    assert [line.split()[0] for line in drawn(progress)[1:]] == ["prepare_behavior", *TASKS]


def test_the_last_picture_of_a_failed_run_shows_the_failed_task() -> None:
    console = terminal()
    progress = LiveProgress(console)
    failed = ("failed", [instance("land", "success", 1.0), instance("clean", "failed", 2.0)])
    with pytest.raises(ChainFailedError, match="no column x"):
        follow(progress, failed)
    last = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "clean failed 2 s 2:10" in last
    assert last.index("clean failed 2 s 2:10") > last.index("prepare_behavior failed 0 s 4:05")
