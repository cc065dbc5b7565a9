"""An A/B test of 200 users in a lake: half saw each arm."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.settings import Settings
from tests.pipeline_tasks.maintenance.shelved_shop import THIRD, write

HORIZON: Final = 2
"""Days in which a purchase counts for an impression."""
SHOWN: Final = THIRD - timedelta(days=HORIZON)
"""The last day of which every impression has had its horizon."""


def event(user: str | None, kind: str, minutes: float, item: str = "i1", arm: str | None = None) -> dict[str, Any]:
    """Return an event so many minutes after the beginning of SHOWN."""
    when = datetime.combine(SHOWN, datetime.min.time(), UTC) + timedelta(minutes=minutes)
    return {"user_key": user, "event_type": kind, "item_id": item, "arm": arm, "ts": when, "ds": when.date()}


def log_events(settings: Settings, rows: list[dict[str, Any]]) -> None:
    """Write the events into the lake."""
    for ds in sorted({row["ds"] for row in rows}):
        numbered = enumerate(row for row in rows if row["ds"] == ds)
        write(settings, "events", ds, [{"event_id": number} | row for number, row in numbered])


def log_trial(settings: Settings) -> None:
    """Write the impressions of both arms: those of `explorer` click twice as often, and buy as others do."""
    rng, rows = np.random.default_rng(8), list[dict[str, Any]]()
    for number in range(200):
        user, arm = f"u{number:03d}", ("control", "explorer")[number % 2]
        for at in range(10):
            rows.append(event(user, "impression", at * 60, f"i{at}", arm))
            if rng.random() < (0.2, 0.4)[number % 2]:
                rows.append(event(user, "click", at * 60 + 1, f"i{at}"))
            if rng.random() < 0.1:
                rows.append(event(user, "purchase", at * 60 + 2, f"i{at}"))
    rows += [event("both", "impression", at, "i1", arm) for at, arm in enumerate(("control", "explorer"))]
    log_events(settings, rows)
