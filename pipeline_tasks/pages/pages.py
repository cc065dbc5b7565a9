"""The pages as HTML, from the source, the day and the text that a person chose."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.lake.lake_sql import source_names
from pipeline_tasks.pages import browse, sql_box, tonight
from pipeline_tasks.pages.rendering import render
from pipeline_tasks.pages.table_reader import published_days
from pipeline_tasks.quality.gate_report import TableReport
from pipeline_tasks.sources.sources import source_name
from pipeline_tasks.tables.contracts import TABLES

_KINDS: Final = {"user": browse.show_user, "item": browse.show_item, "query": browse.show_query}

_SHOWN_ROWS: Final = 500
"""Rows of a statement that the page shows."""


@dataclass(frozen=True)
class Choice:
    """The source and the day that a page shows, and those that it offers."""

    source: str
    sources: list[str]
    ds: date | None
    """None where the source has published nothing."""
    days: list[date]
    """Newest first."""

    @property
    def before(self) -> date | None:
        """The last day before `ds` that was published."""
        return next((day for day in self.days if self.ds and day < self.ds), None)


def choose(settings: Settings, source: str, ds: str) -> Choice:
    """Return the choice; by default the nightly source, or the first that has tables, and its newest day.

    Raises:
        ValueError: the source has no tables, or has published nothing for the day.
    """
    sources = source_names(settings)
    usual = source_name(settings.source)
    chosen = source or (usual if usual in sources or not sources else sources[0])
    if source and source not in sources:
        raise ValueError(f"Source {source} has no tables: choose one of {', '.join(sources)}")
    days = published_days(settings, chosen) if chosen in sources else []
    if ds and date.fromisoformat(ds) not in days:
        raise ValueError(f"{chosen} has published nothing for {ds}: choose one of {', '.join(map(str, days[:10]))}")
    return Choice(chosen, sources, date.fromisoformat(ds) if ds else next(iter(days), None), days)


def browse_page(source: str, ds: str, kind: str, text: str) -> str:
    """Return the page of a user, an item or a query; without a text, that of a random user.

    Raises:
        ValueError: the kind is none of these, or the choice does not fit.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind {kind} cannot be shown: choose one of {', '.join(_KINDS)}")
    choice = choose(settings(), source, ds)
    found: dict[str, Any] = {}
    if choice.ds is not None and not text and kind == "user":
        text = browse.random_user(settings(), choice.source, choice.ds) or ""
    if choice.ds is not None and text:
        found = _found(choice, kind, text)
    return render("browse.html", tab="browse", choice=choice, kind=kind, text=text, found=found)


def suggested_queries(source: str, ds: str, text: str) -> list[str]:
    """Return the queries that begin with the text."""
    choice = choose(settings(), source, ds)
    return browse.suggest_queries(settings(), choice.source, choice.ds, text) if choice.ds and text.strip() else []


def _found(choice: Choice, kind: str, text: str) -> dict[str, Any]:
    assert choice.ds is not None
    if kind == "user":
        return browse.show_user(settings(), choice.source, choice.ds, choice.before, text)
    show = browse.show_item if kind == "item" else browse.show_query
    return show(settings(), choice.source, choice.ds, text)


def tonight_page(source: str, ds: str, runs: Callable[[Choice], list[dict[str, Any]]]) -> str:
    """Return the page of a night. `runs` returns the DAG runs to link to; it is asked once the night is chosen.

    Raises:
        ValueError: the choice does not fit.
    """
    choice = choose(settings(), source, ds)
    night = {}
    if choice.ds is not None:
        night = tonight.show_night(settings(), choice.source, choice.days, choice.ds, choice.before)
    return render(
        "tonight.html",
        tab="tonight",
        choice=choice,
        runs=runs(choice),
        docs_page=docs_page,
        mlflow=settings().mlflow_page,
        **night,
    )


def sql_page(source: str, table: str) -> str:
    """Return the SQL page with the example of the table."""
    example = TABLES[table].example if table in TABLES else TABLES["recommendations"].example
    return _sql_page(choose(settings(), source, ""), example)


def sql_result_page(source: str, statement: str) -> str:
    """Return the SQL page with the rows of the statement, or with the reason why there are none."""
    choice = choose(settings(), source, "")
    try:
        return _sql_page(choice, statement, result=sql_box.run_sql(settings(), choice.source, statement))
    except (ValueError, TimeoutError) as error:
        return _sql_page(choice, statement, error=str(error))


def sql_result_csv(source: str, statement: str) -> str:
    """Return the rows of the statement as CSV.

    Raises:
        ValueError: the statement is not allowed or fails.
        TimeoutError: it took too long.
    """
    return sql_box.run_sql(settings(), choose(settings(), source, "").source, statement).csv()


def _sql_page(choice: Choice, statement: str, result: sql_box.SqlResult | None = None, error: str | None = None) -> str:
    limits = {"rows": sql_box.MOST_ROWS, "seconds": sql_box.MOST_SECONDS, "memory": sql_box.MEMORY_MB}
    return render(
        "sql.html",
        tab="sql",
        choice=choice,
        statement=statement,
        result=result,
        error=error,
        tables=list(TABLES.values()),
        limits=limits,
        shown=_SHOWN_ROWS,
    )


def docs_page(report: TableReport) -> str:
    """Return the address of a table's Data Docs page, on the server of the Data Docs where it is a local file."""
    if not report.docs.startswith("file:"):
        return report.docs
    # The folder may have moved since: what follows its name is the page.
    page = report.docs.rpartition(f"/{settings().data_docs.name}/")[2]
    return f"{settings().data_docs_page}/{page}"
