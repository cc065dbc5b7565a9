"""Commands that read the lake."""

import sys
from typing import Annotated, Literal

import typer

from pipeline_tasks.cli.terminal import (
    JsonOption,
    SourceOption,
    app,
    chosen_source,
    console,
    exit_with_nothing_found,
    print_json,
    short_errors,
)
from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.sources import source_name


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help='For example "SELECT * FROM recommendations LIMIT 5".')],
    how: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="Form of the rows.")] = "table",
    source: SourceOption = None,
) -> None:
    """Query the lake with DuckDB: a view per table, other sources as schemas.

    Example: nightshelf sql --format csv "SELECT * FROM recommendations LIMIT 5"
    """
    from pipeline_tasks.lake.lake_sql import query, source_to_read, write_rows

    with short_errors():
        usual = source_name(source or settings().source)
        read, note = source_to_read(settings(), usual, statement, named=source is not None)
        if note:
            print(note, file=sys.stderr)
        names, rows = query(settings(), read, statement)
        write_rows(names, rows, how)


@app.command()
def lookup(
    user: Annotated[str, typer.Argument(help="The user's id, as in `recommendations.user_key`.")],
    source: SourceOption = None,
) -> None:
    """Print the user's recommendations of the latest run as JSON; exits with 3 for a user who has none.

    Example: nightshelf lookup u17
    """
    from pipeline_tasks.lake.lookup import look_up_user

    with short_errors():
        found = look_up_user(settings(), chosen_source(source), user)
        if not found["items"]:
            exit_with_nothing_found(
                f"{found['source']} has no recommendations for the user {user!r} on {found['ds']}: show "
                "fallback_recommendations, segment 'everyone'"
            )
        print_json(found)


@app.command()
def tables(as_json: JsonOption = False) -> None:
    """Show rows, dates, size and snapshot of each table.

    Example: nightshelf tables
    """
    from pipeline_tasks.lake.lake_sql import summarize_lake, write_rows

    with short_errors():
        found = summarize_lake(settings())
        if not found and not as_json:
            console.print("no tables yet: `nightshelf run` makes them (start the servers first with `nightshelf up`)")
            return
        names = ["source", "table", "rows", "days", "first", "last", "MiB", "snapshot"]
        rows = [
            (t.source, t.table, t.rows, t.days, t.first, t.last, round(t.mebibytes, 2), t.snapshot_id) for t in found
        ]
        write_rows(names, rows, "json" if as_json else "table")
