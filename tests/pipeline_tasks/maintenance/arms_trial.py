"""An A/B test of 200 users in a lake: half saw each arm."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.settings import Settings
from tests.pipeline_tasks.maintenance.published_shop import THIRD, write

HORIZON: Final = 2
"""Days in which a purchase counts for an impression."""
SHOWN: Final = THIRD - timedelta(days=HORIZON)
"""The last day of impressions with a whole horizon before THIRD."""


def event(user: str | None, kind: str, minutes: float, item: str = "i1", arm: str | None = None) -> dict[str, Any]:
    """Return an event `minutes` after the beginning of the day SHOWN."""
    when = datetime.combine(SHOWN, datetime.min.time(), UTC) + timedelta(minutes=minutes)
    return {"user_key": user, "event_type": kind, "item_id": item, "arm": arm, "ts": when, "ds": when.date()}


def log_events(settings: Settings, rows: list[dict[str, Any]]) -> None:
    """Write the events into the lake."""
    for ds in sorted({row["ds"] for row in rows}):
        numbered = enumerate(row for row in rows if row["ds"] == ds)
        write(settings, "events", ds, [{"event_id": number} | row for number, row in numbered])


def log_trial(settings: Settings) -> None:
    """Write the impressions of both arms. Users of `explorer` click twice as often, and buy as often as others."""
    rng, rows = np.random.default_rng(8), list[dict[str, Any]]()
    for number in range(200):
        user, arm = f"u{number:03d}", ("control", "explorer")[number % 2]
        for hour in range(10):
            rows.append(event(user, "impression", hour * 60, f"i{hour}", arm))
            if rng.random() < (0.2, 0.4)[number % 2]:
                rows.append(event(user, "click", hour * 60 + 1, f"i{hour}"))
            if rng.random() < 0.1:
                rows.append(event(user, "purchase", hour * 60 + 2, f"i{hour}"))
    rows += [event("both", "impression", at, "i1", arm) for at, arm in enumerate(("control", "explorer"))]
    log_events(settings, rows)
