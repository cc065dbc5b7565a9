"""Shows on the terminal how a chain gets on: a line per finished task, one status line for what runs now."""

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from pipeline_tasks.local_runtime.airflow_client import TaskRun


class ConsoleProgress:
    """Prints to a console; where that is no terminal, the finished tasks' lines remain."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._began = time.monotonic()

    def running(self, dag_id: str, labels: list[str], seconds: float) -> None:
        """Show what runs now."""
        self._status.update(f"{dag_id} ({seconds:.0f} s): {escape(', '.join(labels)) or 'between two tasks'}")

    def finished(self, dag_id: str, task: TaskRun) -> None:
        """Print the task with how long it took."""
        mark = "[green]done  [/]" if task.state == "success" else "[red]failed[/]"
        clock = time.monotonic() - self._began
        # A mapped task's label holds brackets, `train_candidate [lora]`, which rich would take for markup.
        self._console.print(f"{clock:5.0f} s  {mark} {dag_id}.[bold]{escape(task.label)}[/]  {task.seconds:.1f} s")
