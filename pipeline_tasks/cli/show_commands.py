"""Commands that show what the latest run made for a user, an item or a query."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import typer

from pipeline_tasks.cli.terminal import (
    JsonOption,
    SourceOption,
    app,
    chosen_source,
    exit_with_nothing_found,
    print_json,
    short_errors,
)
from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.lake_sql import for_terminal

show = typer.Typer(no_args_is_help=True, help="Show what the latest run made for a user, an item or a query.")
app.add_typer(show, name="show")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id, as in the tables; a query as it is typed.")]


@show.command("user")
def show_user(user: IdArgument, source: SourceOption = None, as_json: JsonOption = False) -> None:
    """Show the user's history and recommendations, with titles and reasons.

    Example: nightshelf show user u17
    """
    from pipeline_tasks.pages import browse

    _show("user", user, source, as_json, lambda read, ds: browse.show_user(settings(), read, ds, None, user))


@show.command("item")
def show_item(item: IdArgument, source: SourceOption = None, as_json: JsonOption = False) -> None:
    """Show similar and next items, the audience, who bought it, and how many purchases to expect.

    Example: nightshelf show item P7
    """
    from pipeline_tasks.pages import browse

    _show("item", item, source, as_json, lambda read, ds: browse.show_item(settings(), read, ds, item))


@show.command("query")
def show_query(query: IdArgument, source: SourceOption = None, as_json: JsonOption = False) -> None:
    """Show the results of a query for everyone, and what to suggest to somebody who types it.

    Example: nightshelf show query "red lamp"
    """
    from pipeline_tasks.pages import browse

    _show("query", query, source, as_json, lambda read, ds: browse.show_query(settings(), read, ds, query))


def _show(
    kind: str, wanted: str, source: str | None, as_json: bool, find: Callable[[str, date], dict[str, Any]]
) -> None:
    """Print what `find` returns for the source and the date of its latest run; exit with 3 where it is unknown."""
    from pipeline_tasks.pages.browse_text import known_ids, print_found
    from pipeline_tasks.pages.table_reader import published_days

    with short_errors():
        read = chosen_source(source)
        days = published_days(settings(), read)
        if not days:
            raise ValueError(f"{read} has no published run: start one with `nightshelf run --source {read}`")
        found = find(read, days[0])
        if not any(found.get(name) for name in ("profile", "history", "facts", "results", "suggestions")):
            alike = known_ids(found)
            meant = f"; is it one of {', '.join(alike)}?" if alike else ""
            exit_with_nothing_found(f"{read} has no {kind} {wanted!r} on {days[0]}{meant}")
        if as_json:
            print_json({"source": read, "ds": days[0], **found})
            return
        print(f"{kind} {for_terminal(wanted)} of {read}, run of {days[0]}")
        print_found(found)
