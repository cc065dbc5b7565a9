"""What all commands share: the app, their options, and how results and errors are printed."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from pipeline_tasks.config.settings import settings
from pipeline_tasks.errors import OutOfSpaceError, full_folders, out_of_space_message
from pipeline_tasks.lake.lake_sql import for_terminal, source_to_read
from pipeline_tasks.sources.sources import source_name

app = typer.Typer(no_args_is_help=True, help="Computes a shop's recommendations overnight.")
console = Console(highlight=False)
errors = Console(highlight=False, stderr=True)
"""Messages go to standard error, because standard output may be redirected to a file."""

EXPECTED = (ValueError, OSError, TimeoutError, RuntimeError)
"""Exceptions with a cause outside the program. Commands show them as one message, without a stack trace."""

NOTHING_FOUND: Final = 3
"""Exit code where a command ran, and what was asked for does not exist. 1: it failed, 2: wrong usage."""

DateOption = Annotated[str | None, typer.Option("--date", help="The date of the run, YYYY-MM-DD.")]
SourceOption = Annotated[str | None, typer.Option(help="A preset, a registered source, or the path of a TOML file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def keep_private() -> None:
    """Computes a shop's recommendations overnight."""
    # Only the owner may read the files that a command writes.
    os.umask(0o077)


def chosen_source(source: str | None) -> str:
    """Return the source whose tables are read; a note says so where it is not the usual one."""
    usual = source_name(source or settings().source)
    read, note = source_to_read(settings(), usual, "", named=source is not None)
    if note:
        print(note, file=sys.stderr)
    return read


def print_json(found: object) -> None:
    """Print the object as JSON; times and dates as text."""
    print(json.dumps(found, default=str, indent=1))


def exit_with_nothing_found(message: str) -> NoReturn:
    """Print the message and exit with `NOTHING_FOUND`."""
    errors.print(for_terminal(message), markup=False, soft_wrap=True)
    raise typer.Exit(NOTHING_FOUND)


@contextmanager
def short_errors() -> Iterator[None]:
    """Print an expected error as one message and exit with 1."""
    try:
        yield
    except typer.Exit:
        # It is a RuntimeError.
        raise
    except EXPECTED as error:
        errors.print(f"[red]{type(error).__name__}[/]: ", end="")
        errors.print(for_terminal(str(error)), markup=False, soft_wrap=True)
        # Airflow and MLflow keep SQLite databases in these folders. On a full disk they only report a failed request.
        if not isinstance(error, OutOfSpaceError) and full_folders():
            errors.print(out_of_space_message(), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
