"""What `nightshelf up` and `nightshelf run` print at the end: addresses and some recommendations."""

from collections.abc import Sequence
from typing import Final, Literal

from rich.console import Console
from rich.markup import escape

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake_sql import for_terminal, open_database
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password
from pipeline_tasks.local_runtime.secret_files import mlflow_login
from pipeline_tasks.local_runtime.spark_server import has_ui, ui_address
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import source_name

_USERS: Final = 3
_ITEMS: Final = 5

Recommendation = tuple[str, int, str, str, float, str]
"""Audience, rank, item_id, title, score and reason."""
PER_USER, FALLBACK = "recommendations", "fallback_recommendations"
_TOP_QUERIES: Final = {
    PER_USER: f"""
SELECT 'user ' || r.user_key, r.rank, r.item_id, coalesce(i.title, r.item_id), round(r.score, 3), r.reason
FROM recommendations r LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.rank <= {_ITEMS} AND r.user_key IN (
    SELECT user_key FROM user_profiles WHERE ds = $ds ORDER BY events DESC, user_key LIMIT {_USERS})
ORDER BY r.user_key, r.rank
""",
    FALLBACK: f"""
SELECT r.segment, r.rank, r.item_id, coalesce(i.title, r.item_id), round(r.score, 3), r.reason
FROM fallback_recommendations r LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.rank <= {_ITEMS} AND r.segment = 'everyone'
ORDER BY r.rank
""",
}
"""Query for the first recommendations of a table."""
_MORE_QUERIES: Final = {
    PER_USER: (
        "SELECT r.user_key, r.rank, i.title, r.score, r.reason FROM recommendations r "
        "JOIN items i USING (item_id, ds) WHERE ds = '{ds}' ORDER BY user_key, rank LIMIT 40"
    ),
    FALLBACK: (
        "SELECT i.title, n.rank, o.title AS next, n.score FROM next_items n JOIN items i USING (item_id, ds) "
        "JOIN items o ON o.item_id = n.next_item_id AND o.ds = n.ds "
        "WHERE n.ds = '{ds}' ORDER BY n.item_id, rank LIMIT 40"
    ),
}


def show_recommendations(console: Console, settings: Settings, run_key: RunKey) -> None:
    """Print some recommendations of the run, and the command that shows more."""
    rows = _count_rows(settings, run_key, PER_USER)
    table = PER_USER if rows else FALLBACK
    print_recommendations(console, _top_recommendations(settings, run_key, table))
    summary = f"{rows} {PER_USER} for {run_key.ds}; to see more:"
    if not rows:
        summary = f"no user has recommendations of their own for {run_key.ds}; to see the next items of each item:"
    console.print(f"\n{summary}\n  {more_command(settings, run_key, table)}", soft_wrap=True)


def print_recommendations(console: Console, rows: Sequence[Recommendation]) -> None:
    """Print the rows under a heading for each audience."""
    shown = ""
    for audience, rank, item, title, score, reason in rows:
        if audience != shown:
            console.print(f"\nrecommendations for [bold]{escape(for_terminal(audience))}[/]")
            shown = audience
        # Rich would read brackets in a title, such as `[new] lamp`, as markup.
        line = for_terminal(f"  {rank}. {title} ({item}), score {score}: {reason}")
        console.print(line, markup=False, soft_wrap=True)


def more_command(settings: Settings, run_key: RunKey, table: str = PER_USER) -> str:
    """Return the command that shows more: recommendations of users, or next items where no user has any."""
    source = "" if run_key.source == source_name(settings.source) else f"--source {run_key.source} "
    return f'nightshelf sql {source}"{_MORE_QUERIES[table].format(ds=run_key.ds)}"'


def _top_recommendations(settings: Settings, run_key: RunKey, table: str) -> list[Recommendation]:
    """Return the first rows of the most active users, or of everyone."""
    with open_database(settings, run_key.source, _TOP_QUERIES[table]) as database:
        return database.execute(_TOP_QUERIES[table], {"ds": run_key.ds}).fetchall()


def addresses(settings: Settings, mlflow: str) -> list[tuple[str, str, str]]:
    """Return (server, URL, login) of each server; `mlflow` is the MLflow page to open."""
    ports, login = settings.server, mlflow_login(settings)
    spark = [("Spark", f"http://127.0.0.1:{ports.spark_ui_port}", "no login")] if has_ui(settings) else []
    return [
        ("Airflow", f"http://127.0.0.1:{ports.airflow_port}", f"{ADMIN} / {admin_password(settings)}"),
        ("MLflow", mlflow, f"{login.user} / {login.password}" if login else "its own logins"),
        ("Data Docs", settings.data_docs_page, "no login"),
        *spark,
    ]


def page_address(settings: Settings, page: Literal["airflow", "mlflow", "docs", "spark"]) -> str:
    """Return the address of a page, as a browser opens it.

    Raises:
        ValueError: jobs use a Spark whose UI is not known.
    """
    if page == "spark":
        spark = ui_address(settings)
        if spark is None:
            raise ValueError("The UI of Spark is not known: set NIGHTSHELF_PAGES__SPARK to its address")
        return spark
    return {
        "airflow": f"http://127.0.0.1:{settings.server.airflow_port}",
        "mlflow": settings.mlflow_page,
        "docs": settings.data_docs_page,
    }[page]


def _count_rows(settings: Settings, run_key: RunKey, table: str) -> int:
    """Return how many rows of the table belong to the run's date."""
    with open_database(settings, run_key.source, table) as database:
        [(rows,)] = database.execute(f"SELECT count(*) FROM {table} WHERE ds = ?", [run_key.ds]).fetchall()
    return int(rows)
