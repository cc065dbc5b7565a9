"""Shows the start of the servers and the progress of a chain: as lines, or as a live picture in a terminal."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from pipeline_tasks.local_runtime.airflow_client import AirflowClient, TaskRun
from pipeline_tasks.local_runtime.chain_picture import ChainPicture, DagPlan
from pipeline_tasks.local_runtime.servers import ServerStart

_FRAMES_PER_SECOND: Final = 2.0


class Progress(AbstractContextManager["Progress"]):
    """Receives the progress of servers and DAG runs. A subclass shows what it overrides."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the display."""

    def show_servers(self, servers: Sequence[ServerStart]) -> None:
        """Show how far the servers are."""

    def show_wait(self, reason: str) -> None:
        """Show what is waited for between two DAG runs."""

    def plan(self, airflow: AirflowClient, dag_ids: Sequence[str]) -> None:
        """Read what is shown of the DAGs before they run."""

    def show_run(self, dag_id: str, state: str, tasks: Sequence[TaskRun]) -> None:
        """Show the state of a DAG run and its tasks."""


def progress_on(console: Console) -> Progress:
    """Return a live picture where the console is a terminal, else lines."""
    return LiveProgress(console) if console.is_terminal else LineProgress(console)


class LineProgress(Progress):
    """Prints a line for each task that has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._shown: set[tuple[str, str, int]] = set()

    def show_run(self, dag_id: str, state: str, tasks: Sequence[TaskRun]) -> None:
        """Print the tasks that have ended since the last call, with their durations."""
        for task in tasks:
            key = (dag_id, task.label, task.try_number)
            if task.state in {"success", "failed"} and key not in self._shown:
                self._shown.add(key)
                self._print(dag_id, task)

    def _print(self, dag_id: str, task: TaskRun) -> None:
        mark = "[green]done  [/]" if task.state == "success" else "[red]failed[/]"
        clock = time.monotonic() - self._began
        # Rich would read brackets in the label of a mapped task, `train_candidate [lora]`, as markup.
        self._console.print(f"{clock:5.0f} s  {mark} {dag_id}.[bold]{escape(task.label)}[/]  {task.seconds:.1f} s")


class LiveProgress(Progress):
    """Draws servers, DAGs and tasks again and again in place; the last picture stays, with all tasks."""

    def __init__(self, console: Console) -> None:
        self.picture = ChainPicture()
        self._live = Live(get_renderable=self.picture.render, console=console, refresh_per_second=_FRAMES_PER_SECOND)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Draw the last picture."""
        self.picture.is_complete = True
        self._live.stop()

    def show_servers(self, servers: Sequence[ServerStart]) -> None:
        """Draw the servers."""
        self.picture.servers = list(servers)

    def show_wait(self, reason: str) -> None:
        """Draw what is waited for."""
        self.picture.wait = reason

    def plan(self, airflow: AirflowClient, dag_ids: Sequence[str]) -> None:
        """Draw the DAGs with the times of their last successful runs."""
        self.picture.plans = {
            dag_id: DagPlan(
                airflow.upstream_tasks(dag_id), airflow.usual_seconds(dag_id), airflow.usual_run_seconds(dag_id)
            )
            for dag_id in dag_ids
        }

    def show_run(self, dag_id: str, state: str, tasks: Sequence[TaskRun]) -> None:
        """Draw the DAG run."""
        self.picture.show_run(dag_id, state, tasks)
