"""What `nightshelf up` and `nightshelf run` print at the end: addresses and some recommendations."""

import re
from typing import Final

import duckdb

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake_sql import open_database
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password
from pipeline_tasks.local_runtime.secret_files import mlflow_login
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import source_name

_USERS: Final = 3
_ITEMS: Final = 5

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


def more_command(settings: Settings, run_key: RunKey, table: str = PER_USER) -> str:
    """Return the command that shows more: recommendations of users, or next items where no user has any."""
    source = "" if run_key.source == source_name(settings.source) else f"--source {run_key.source} "
    return f'nightshelf sql {source}"{_MORE_QUERIES[table].format(ds=run_key.ds)}"'


def top_recommendations(
    settings: Settings, run_key: RunKey, table: str = PER_USER
) -> list[tuple[str, int, str, str, float, str]]:
    """Return rows (audience, rank, item_id, title, score, reason) of the most active users, or of everyone."""
    with open_database(settings, run_key.source, _TOP_QUERIES[table]) as database:
        return database.execute(_TOP_QUERIES[table], {"ds": run_key.ds}).fetchall()


def addresses(settings: Settings, mlflow: str) -> list[tuple[str, str, str]]:
    """Return (server, URL, login) of each server; `mlflow` is the MLflow page to open."""
    ports, login = settings.server, mlflow_login(settings)
    return [
        ("Airflow", f"http://127.0.0.1:{ports.airflow_port}", f"{ADMIN} / {admin_password(settings)}"),
        # A login within the address is not shown.
        (
            "MLflow",
            re.sub(r"//[^/]*@", "//", mlflow),
            f"{login.user} / {login.password}" if login else "its own logins",
        ),
        ("Data Docs", f"http://127.0.0.1:{ports.docs_port}", "no login"),
    ]


def count_rows(settings: Settings, run_key: RunKey, table: str) -> int:
    """Return how many rows of the table belong to the run's date."""
    with open_database(settings, run_key.source, table) as database:
        return _only_number(database, f"SELECT count(*) FROM {table} WHERE ds = ?", run_key)


def _only_number(database: duckdb.DuckDBPyConnection, sql: str, run_key: RunKey) -> int:
    number: int = database.execute(sql, [run_key.ds]).fetchall()[0][0]
    return number
