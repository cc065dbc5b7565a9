"""What `nightshelf up` and `nightshelf run` say at the end: where everything is, and some shelves."""

import re
from typing import Final

import duckdb

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake_sql import open_database
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password
from pipeline_tasks.local_runtime.mlflow_login import mlflow_login
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import source_name

USERS: Final = 3
ITEMS: Final = 5

OWN, EVERYONES = "recommendations", "fallback_recommendations"
SHELVES: Final = {
    OWN: f"""
SELECT 'user ' || r.user_key, r.rank, r.item_id, coalesce(i.title, r.item_id), round(r.score, 3), r.reason
FROM recommendations r LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.rank <= {ITEMS} AND r.user_key IN (
    SELECT user_key FROM user_profiles WHERE ds = $ds ORDER BY events DESC, user_key LIMIT {USERS})
ORDER BY r.user_key, r.rank
""",
    EVERYONES: f"""
SELECT r.segment, r.rank, r.item_id, coalesce(i.title, r.item_id), round(r.score, 3), r.reason
FROM fallback_recommendations r LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.rank <= {ITEMS} AND r.segment = 'everyone'
ORDER BY r.rank
""",
}
"""By the table that is shown."""
MORE: Final = {
    OWN: (
        "SELECT r.user_key, r.rank, i.title, r.score, r.reason FROM recommendations r "
        "JOIN items i USING (item_id, ds) WHERE ds = '{ds}' ORDER BY user_key, rank LIMIT 40"
    ),
    EVERYONES: (
        "SELECT i.title, n.rank, o.title AS next, n.score FROM next_items n JOIN items i USING (item_id, ds) "
        "JOIN items o ON o.item_id = n.next_item_id AND o.ds = n.ds "
        "WHERE n.ds = '{ds}' ORDER BY n.item_id, rank LIMIT 40"
    ),
}


def more_command(settings: Settings, night: RunKey, table: str = OWN) -> str:
    """Return the command that shows more: of users' shelves or, where there are none, of what goes with an item."""
    source = "" if night.source == source_name(settings.source) else f"--source {night.source} "
    return f'nightshelf sql {source}"{MORE[table].format(ds=night.ds)}"'


def some_shelves(settings: Settings, night: RunKey, table: str = OWN) -> list[tuple[str, int, str, str, float, str]]:
    """Return (whose, rank, item_id, title, score, reason) of the first items of everyone or the busiest users."""
    with open_database(settings, night.source, SHELVES[table]) as database:
        return database.execute(SHELVES[table], {"ds": night.ds}).fetchall()


def addresses(settings: Settings, mlflow: str) -> list[tuple[str, str, str]]:
    """Return (what, URL, how to log in) of the servers; `mlflow` is the page of MLflow to begin with."""
    ports, login = settings.server, mlflow_login(settings)
    return [
        ("Airflow", f"http://127.0.0.1:{ports.airflow_port}", f"{ADMIN} / {admin_password(settings)}"),
        # A login that stands in the address itself is not shown.
        (
            "MLflow",
            re.sub(r"//[^/]*@", "//", mlflow),
            f"{login.user} / {login.password}" if login else "its own logins",
        ),
        ("Data Docs", f"http://127.0.0.1:{ports.docs_port}", "no login"),
    ]


def count_rows(settings: Settings, night: RunKey, table: str) -> int:
    """Return how many rows the night has in the table."""
    with open_database(settings, night.source, table) as database:
        return _only_number(database, f"SELECT count(*) FROM {table} WHERE ds = ?", night)


def _only_number(database: duckdb.DuckDBPyConnection, sql: str, night: RunKey) -> int:
    number: int = database.execute(sql, [night.ds]).fetchall()[0][0]
    return number
