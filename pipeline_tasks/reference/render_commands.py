"""Renders docs/reference/commands.md from the command line itself."""

from typing import Final

import typer
from typer.cli import get_docs_for_click

from pipeline_tasks.cli import app

_INTRODUCTION: Final = """# Commands

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
    return f"{_INTRODUCTION}\n{rendered.strip()}\n"
