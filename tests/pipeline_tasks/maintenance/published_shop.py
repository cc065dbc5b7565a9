"""A shop with a real lake, into which a test publishes recommendations day by day."""

from datetime import date
from typing import Any

import pyarrow as pa

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

SOURCE = "shop"
FIRST, SECOND, THIRD = (date(2026, 11, day) for day in (19, 20, 21))


def publish_day(settings: Settings, ds: date, version: str, users: tuple[str, ...] = ("ann", "bob")) -> None:
    """Commit a day's recommendations and profiles as the step does: with the same properties, recommendations last."""
    made = {"reason": "because", "model_version": f"nightshelf-{SOURCE}/{version}"}
    ranked = [{"rank": 1, "item_id": f"i{version}", "score": 1.0} | made]
    personal = [{"user_key": user, "arm": "control"} | row for user in users for row in ranked]
    everyone = [{"segment": "everyone"} | row for row in ranked]
    profiles = [{"user_key": user, "segment": "loyal", "rfm": version} for user in users]
    for name, rows in (
        *(("user_profiles", profiles), ("fallback_recommendations", everyone)),
        ("recommendations", personal),
    ):
        write(settings, name, ds, rows, {"made_of": f"{ds} {version}"})


def write(
    settings: Settings, name: str, ds: date, rows: list[dict[str, Any]], facts: dict[str, str] | None = None
) -> None:
    """Commit rows of one day. Missing columns are NULL."""
    lake = Lake.open(settings, SOURCE)
    empty = dict.fromkeys(TABLES[name].column_names) | {"ds": ds}
    table = pa.Table.from_pylist([empty | row for row in rows], schema=arrow_schema(TABLES[name]))
    lake.commit(name, [ds], lake.write_arrow(name, table), facts)


def published_items(settings: Settings, name: str = "recommendations") -> dict[date, set[str]]:
    """Return the recommended items (or the RFM segments of profiles) by day."""
    found: dict[date, set[str]] = {}
    for row in Lake.open(settings, SOURCE).read(name).to_pylist():
        found.setdefault(row["ds"], set()).add(row.get("item_id") or row["rfm"])
    return found
