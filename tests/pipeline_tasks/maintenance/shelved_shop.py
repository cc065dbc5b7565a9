"""A shop whose shelves a test publishes, night by night, into a real lake."""

from datetime import date
from typing import Any

import pyarrow as pa

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

SOURCE = "shop"
FIRST, SECOND, THIRD = (date(2026, 11, day) for day in (19, 20, 21))


def publish_shelves(settings: Settings, ds: date, version: str, users: tuple[str, ...] = ("ann", "bob")) -> None:
    """Commit a night's shelves and profiles as the step does: with the same facts, recommendations last."""
    made = {"reason": "because", "model_version": f"nightshelf-{SOURCE}/{version}"}
    ranked = [{"rank": 1, "item_id": f"i{version}", "score": 1.0} | made]
    shelves = [{"user_key": user, "arm": "control"} | row for user in users for row in ranked]
    everyone = [{"segment": "everyone"} | row for row in ranked]
    profiles = [{"user_key": user, "segment": "loyal", "rfm": version} for user in users]
    for name, rows in (
        *(("user_profiles", profiles), ("fallback_recommendations", everyone)),
        ("recommendations", shelves),
    ):
        write(settings, name, ds, rows, {"made_of": f"{ds} {version}"})


def write(
    settings: Settings, name: str, ds: date, rows: list[dict[str, Any]], facts: dict[str, str] | None = None
) -> None:
    """Commit rows of one day, what they do not say being NULL."""
    lake = Lake.open(settings, SOURCE)
    empty = dict.fromkeys(TABLES[name].column_names) | {"ds": ds}
    table = pa.Table.from_pylist([empty | row for row in rows], schema=arrow_schema(TABLES[name]))
    lake.commit(name, [ds], lake.write_arrow(name, table), facts)


def nights(settings: Settings, name: str = "recommendations") -> dict[date, set[str]]:
    """Return the items on the published shelves by night."""
    found: dict[date, set[str]] = {}
    for row in Lake.open(settings, SOURCE).read(name).to_pylist():
        found.setdefault(row["ds"], set()).add(row.get("item_id") or row["rfm"])
    return found
