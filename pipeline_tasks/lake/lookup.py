"""The recommendations of one user in the latest published run, as an application shows them."""

from datetime import date
from typing import Any, Final

import duckdb

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake_sql import reading

# Every run writes this table, also that of a shop without user ids.
_LATEST: Final = "SELECT max(ds) FROM fallback_recommendations"
_RECOMMENDED: Final = """
SELECT r.rank, r.item_id, i.title, r.score, r.reason, r.arm, r.model_version
FROM recommendations r LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.user_key = $user ORDER BY r.rank
"""


def latest_run(database: duckdb.DuckDBPyConnection, source: str) -> date:
    """Return the date of the latest published run; the database must be able to read `fallback_recommendations`.

    Raises:
        ValueError: no run of the source is published.
    """
    [(ds,)] = database.execute(_LATEST).fetchall()
    if ds is None:
        raise ValueError(f"{source} has no published run: start one with `nightshelf run --source {source}`")
    found: date = ds
    return found


def look_up_user(settings: Settings, source: str, user: str) -> dict[str, Any]:
    """Return the user's recommendations with the date, the model version and the A/B arm of the run.

    `items` is empty, and version and arm are None, for a user without recommendations of their own.
    """
    with reading(settings, source, _LATEST + _RECOMMENDED) as database:
        ds = latest_run(database, source)
        rows = database.execute(_RECOMMENDED, {"ds": ds, "user": user}).fetchall()
    arm, version = rows[0][5:] if rows else (None, None)
    names = ("rank", "item_id", "title", "score", "reason")
    items = [dict(zip(names, row[:5], strict=True)) for row in rows]
    return {"source": source, "user": user, "ds": ds, "model_version": version, "arm": arm, "items": items}
