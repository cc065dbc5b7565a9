from datetime import date, timedelta
from typing import Any

import pytest

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources import window_choice
from pipeline_tasks.sources.landing import Delivery, LandedDay, Ledger
from pipeline_tasks.sources.window_choice import cleaned_window, landed_window

RUN_KEY = RunKey("clicks", date(2026, 11, 20))


def source(path: str) -> Source:
    columns: dict[str, Any] = {"ts": "t", "event_type": "'view'", "item_id": "i", "user_key": "u"}
    return Source.model_validate({"name": "clicks", "events": {"path": path, "columns": columns}})


def ledger(rows: dict[int, int]) -> Ledger:
    """Return a ledger of rows by the number of days before the date of the run."""
    days = {RUN_KEY.ds - timedelta(days=back): count for back, count in rows.items()}
    return Ledger(
        deliveries={
            day: Delivery(fingerprint="f", days={day: LandedDay(rows=count, content="")}) for day, count in days.items()
        }
    )


@pytest.mark.parametrize(
    ("path", "asked", "days"),
    [("all.csv", 0, 401), ("all.csv", 7, 7), ("events-{ds}.csv", 0, 30), ("events-{ds}.csv", 90, 90)],
)
def test_the_window_is_as_set_else_the_whole_log_else_thirty_days(path: str, asked: int, days: int) -> None:
    # A backfill may find a later day, which is not in the window.
    assert landed_window(source(path), ledger({400: 5, 3: 5, 0: 5, -2: 5}), RUN_KEY, asked) == days


def test_a_short_log_has_thirty_days_too() -> None:
    assert landed_window(source("all.csv"), ledger({3: 5, 0: 5}), RUN_KEY, 0) == 30


def test_the_window_of_a_long_log_holds_the_latest_records_in_whole_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_choice, "MOST_EVENTS", 12)
    assert landed_window(source("all.csv"), ledger({300: 5, 200: 5, 100: 5, 0: 2}), RUN_KEY, 0) == 201


def test_a_day_that_was_never_cleaned_has_no_window() -> None:
    lake = Lake.open(settings(), "clicks")
    assert cleaned_window(lake, RUN_KEY, 5) == 5
    with pytest.raises(ValueError, match="clicks 2026-11-20 is unknown, because that day was never cleaned"):
        cleaned_window(lake, RUN_KEY, 0)
