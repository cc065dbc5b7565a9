"""A small published run: two nights of the shop's tables, with titles."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

YESTERDAY, TODAY = date(2026, 11, 19), date(2026, 11, 20)
SHOP = "rees46"


def publish(lake: Lake, name: str, ds: date, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit the rows; columns that a row lacks are NULL."""
    whole = [dict.fromkeys(TABLES[name].column_names) | dict(row) | {"ds": ds} for row in rows]
    lake.commit(name, [ds], lake.write_arrow(name, pa.Table.from_pylist(whole, schema=arrow_schema(TABLES[name]))))


def item(number: int, **more: object) -> dict[str, object]:
    return {"item_id": f"i{number}", "title": f"lamp {number}", "first_seen": YESTERDAY} | more


def recommendation(rank: int, number: int, ds: date, **owner: str) -> dict[str, object]:
    made = {"rank": rank, "item_id": f"i{number}", "score": 1 / 3, "reason": "popular", "model_version": f"m/{ds.day}"}
    return made | ({"arm": "control"} if "user_key" in owner else {}) | owner


def publish_nights(lake: Lake) -> None:
    """Publish two nights; `ann` has recommendations in both, `bob` in the first one alone."""
    for ds in (YESTERDAY, TODAY):
        publish(lake, "items", ds, [item(1), item(2, title="[new] lamp"), item(3)])
        publish(lake, "fallback_recommendations", ds, [recommendation(1, 3, ds, segment="everyone")])
        own = [recommendation(1, 1, ds, user_key="ann"), recommendation(2, 2, ds, user_key="ann")]
        publish(lake, "recommendations", ds, own + [recommendation(1, 3, ds, user_key="bob")] * (ds == YESTERDAY))


def at(ds: date, hour: int) -> datetime:
    return datetime(ds.year, ds.month, ds.day, hour, tzinfo=UTC)
