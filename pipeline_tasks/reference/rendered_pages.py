"""The pages below docs/reference/ that are rendered from the code, and the page of commands."""

from collections.abc import Callable
from typing import Final

import typer
from typer.cli import get_docs_for_click

from pipeline_tasks.cli import app
from pipeline_tasks.reference.render_settings import render_settings
from pipeline_tasks.reference.render_tables import render_tables

_COMMANDS: Final = """# Commands

`nightshelf` lies in `.venv/bin`. Every command exits with 1 when it fails, and prints one message with the remedy.
`make help` lists the targets of the Makefile. The maintenance DAGs are started in Airflow's UI
([operations](../guides/operations.md#maintenance-dags)).

`python -m pipeline_tasks.reference` renders this page from `pipeline_tasks/cli.py`.
"""


def render_commands() -> str:
    """Return the page of all commands, arguments and options."""
    command = typer.main.get_command(app)
    context = typer.Context(command)
    with context:
        rendered = get_docs_for_click(obj=command, ctx=context, indent=1, name="nightshelf")
    return f"{_COMMANDS}\n{rendered.strip()}\n"


RENDERED: Final[dict[str, Callable[[], str]]] = {
    "commands.md": render_commands,
    "settings.md": render_settings,
    "tables.md": render_tables,
}
"""File name -> function that returns the page; `python -m pipeline_tasks.reference` writes them all."""
