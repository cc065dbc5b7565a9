"""Draws servers, DAGs and tasks as tables: state, time so far, usual time, and what each waits for."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline_tasks.local_runtime.airflow_client import TaskRun
from pipeline_tasks.local_runtime.servers import ServerStart

_ENDED: Final = {
    "success": Text("done", "green"),
    "failed": Text("failed", "red"),
    "skipped": Text("skipped", "dim"),
    "upstream_failed": Text("not run: a task before it failed", "red"),
}
_ACTIVE: Final = {
    "running": Text("running", "bold cyan"),
    "restarting": Text("restarting", "cyan"),
    "up_for_retry": Text("failed, will be retried", "yellow"),
    "awaiting_input": Text("waits for a person: see Required Actions", "bold yellow"),
    "deferred": Text("waits for its trigger", "cyan"),
}


@dataclass(frozen=True)
class DagPlan:
    """What is known of a DAG before it runs."""

    upstream: Mapping[str, Sequence[str]]
    """Task id -> ids of the tasks that it follows, in an order in which they may run."""
    usual_seconds: Mapping[str, float]
    """Label of a task -> duration of its last successful instance."""
    usual_run_seconds: float | None


@dataclass
class DagProgress:
    """One DAG run: its state, its tasks, and when it was first and last seen."""

    state: str
    tasks: Sequence[TaskRun]
    began: float
    ended: float | None = None


@dataclass
class ChainPicture:
    """All that is drawn. Only the DAG that runs shows its tasks, until the picture is complete."""

    servers: list[ServerStart] = field(default_factory=list)
    plans: Mapping[str, DagPlan] = field(default_factory=dict)
    runs: dict[str, DagProgress] = field(default_factory=dict)
    wait: str = ""
    is_complete: bool = False

    def show_run(self, dag_id: str, state: str, tasks: Sequence[TaskRun]) -> None:
        """Take over the state of a DAG run."""
        now = time.monotonic()
        run = self.runs.setdefault(dag_id, DagProgress(state, tasks, now))
        run.state, run.tasks = state, tasks
        run.ended = now if state in {"success", "failed"} else None
        self.wait = "an earlier run of this DAG ends" if state == "queued" else ""

    def render(self) -> Group:
        """Return the picture of this moment."""
        # One table for servers and DAGs, so that their columns are aligned.
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for _ in ("name", "state"):
            table.add_column()
        for _ in ("time", "usual"):
            table.add_column(justify="right", min_width=7)
        if self.servers:
            table.add_row("server", "state", "time", "", style="dim")
            self._add_servers(table)
        if self.plans:
            table.add_row("DAG", "state", "time", "usual", style="dim")
            self._add_dags(table)
        parts = [table] if table.rows else []
        if self.wait and not self.is_complete:
            return Group(*parts, Text(f"waiting until {self.wait}", "yellow"))
        return Group(*parts)

    def _add_servers(self, table: Table) -> None:
        for server in self.servers:
            state = Text("ready", "green") if server.is_healthy else Text("starting", "bold cyan")
            state.append(f" on port {server.port}", "not bold default")
            table.add_row(server.name, state, duration_text(server.seconds))

    def _add_dags(self, table: Table) -> None:
        for dag_id, plan in self.plans.items():
            usual = duration_text(plan.usual_run_seconds)
            run = self.runs.get(dag_id)
            if run is None:
                table.add_row(dag_id, "waits", "", usual, style="dim")
                continue
            seconds = (run.ended or time.monotonic()) - run.began
            state = _ENDED.get(run.state) or Text(run.state, "bold cyan")
            table.add_row(Text(dag_id, "bold"), state, duration_text(seconds), usual)
            if self.is_complete or run.state != "success":
                _add_tasks(table, plan, run.tasks)


def task_state(task: TaskRun, plan: DagPlan, tasks: Sequence[TaskRun]) -> Text:
    """Return the state of a task, or what it waits for."""
    if known := _ENDED.get(task.state or "") or _ACTIVE.get(task.state or ""):
        return known
    if task.state in {"scheduled", "queued"}:
        return Text(f"waits for a free slot of the pool {task.pool}", "yellow")
    ended = {other.task_id for other in tasks} - {other.task_id for other in tasks if other.state not in _ENDED}
    missing = [name for name in plan.upstream.get(task.task_id, ()) if name not in ended]
    return Text(f"waits for {', '.join(missing)}" if missing else "waits", "dim")


def _add_tasks(table: Table, plan: DagPlan, tasks: Sequence[TaskRun]) -> None:
    order = {task_id: number for number, task_id in enumerate(plan.upstream)}
    for task in sorted(tasks, key=lambda task: (order.get(task.task_id, len(order)), task.map_index)):
        seconds = duration_text(task.seconds) if task.seconds else ""
        usual = duration_text(plan.usual_seconds.get(task.label))
        table.add_row(Text(f"  {task.label}"), task_state(task, plan, tasks), seconds, usual)


def duration_text(seconds: float | None) -> str:
    """Return seconds as `7 s`, `2:05` (minutes) or `1:02:05`; the empty text for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
