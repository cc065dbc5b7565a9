"""The day under which a record is landed; every record is in one table or count."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_tasks.sources.sources import FutureDateError, SourceError
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

BEFORE, NEXT = DAY - timedelta(days=1), DAY + timedelta(days=1)
GROWING = CLICKS.replace("events-{ds}.csv", "all.csv")


def record(time: object, item: str = "P1") -> str:
    return f"{time},view,{item},ann,{item},,,"


def write(shop: ShopFixture, *lines: str, changed: date = NEXT) -> Path:
    """Write the file of many days, last changed on `changed`."""
    path = shop.files / "all.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    at = datetime(changed.year, changed.month, changed.day, 2, tzinfo=UTC).timestamp()
    # Every change is another time, as fast as a test may be.
    os.utime(path, (at, at + len(lines)))
    return path


def counted(shop: ShopFixture) -> dict[date, dict[str, int]]:
    """Return the published rows of the reconciliation by outcome, of each day that has some, its balance checked."""
    days: dict[date, dict[str, int]] = {}
    for row in shop.rows("reconciliation"):
        counts = days.setdefault(row["ds"], {})
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["rows"]
    for counts in days.values():
        assert counts["rows_in"] == sum(counts.values()) - counts["rows_in"]
    return {day: counts for day, counts in days.items() if counts["rows_in"]}


IMPOSSIBLE = (
    "0001-01-01T00:00:00Z",
    "0000-00-00 00:00:00",
    "-0044-03-15T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "2027-11-20T09:00:00Z",
    "2569-11-20T09:00:00Z",
    "+58856-02-11T09:00:00Z",
    "2026-11-20T23:59:60Z",
    "",
)


def test_every_row_of_a_growing_file_is_landed_once_over_all_runs(shop: ShopFixture) -> None:
    shop.describe(GROWING)
    first = [record("2026-11-19T23:59:59.999999Z"), record("2026-11-20T00:00:00Z", "P2"), *map(record, IMPOSSIBLE)]
    write(shop, *first, record("2026-11-21T00:00:00Z", "P3"))
    shop.run(window_days=0)
    expected = {
        BEFORE: {"rows_in": 1, "event": 1},
        DAY: {"rows_in": 10, "event": 1, "quarantine": 9},
        NEXT: {"rows_in": 1, "waiting": 1},
    }
    assert counted(shop) == expected
    shop.run(window_days=0)
    assert counted(shop) == expected, "run twice"
    assert {row["rule"] for row in shop.rows("quarantine")} == {"impossible_time", "unparsable_time"}
    later = [record("2026-11-21T00:00:00Z", "P3"), record("2026-11-21T10:00:00Z", "P4"), record("", "P5"), record("")]
    write(shop, *first, *later, changed=DAY + timedelta(days=2))
    manifest = shop.run(NEXT, 0)
    assert manifest.tables["events"].days == [DAY, NEXT]
    again = expected[DAY] | {"rows_in": 11, "quarantine": 10}
    assert counted(shop) == {
        BEFORE: expected[BEFORE],
        DAY: again,
        NEXT: {"rows_in": 3, "event": 2, "quarantine": 1},
    }, "what is new is booked on its ds, a copy of what is not beside it"
    everything = counted(shop)
    shop.run(NEXT, 0)
    assert counted(shop) == everything


def test_undated_records_keep_their_day_after_it_left_the_window(shop: ShopFixture) -> None:
    shop.describe(GROWING)
    first = [record("2026-11-19T09:00:00Z"), record("yesterday"), record("2026-12-24T09:00:00Z", "P9")]
    write(shop, *first, changed=DAY)
    shop.run(BEFORE, 1)
    refused = {"rows_in": 3, "event": 1, "quarantine": 2}
    assert counted(shop) == {BEFORE: refused}
    write(shop, *first, record("2026-11-20T09:00:00Z", "P2"), record("yesterday"))
    shop.run(DAY, 1)
    assert counted(shop) == {
        BEFORE: refused | {"rows_in": 4, "quarantine": 3},
        DAY: {"rows_in": 1, "event": 1},
    }
    write(shop, *first[:1], record("2026-11-20T09:00:00Z", "P2"))
    shop.run(DAY, 1)
    assert counted(shop) == {BEFORE: {"rows_in": 1, "event": 1}, DAY: {"rows_in": 1, "event": 1}}, "rewritten"


def test_days_before_an_explicit_window_are_counted_until_a_run_cleans_them(
    shop: ShopFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.describe(GROWING)
    old, older = DAY - timedelta(days=40), DAY - timedelta(days=60)
    lines = [record(f"{day}T10:00:00Z", f"P{n}") for n, day in enumerate((older, old, old, BEFORE, DAY))]
    write(shop, *lines)
    shop.run(window_days=30)
    cleaned = {BEFORE: {"rows_in": 1, "event": 1}, DAY: {"rows_in": 1, "event": 1}}
    waiting = {older: {"rows_in": 1, "before_window": 1}, old: {"rows_in": 2, "before_window": 2}}
    assert counted(shop) == cleaned | waiting
    assert {row["ds"] for row in shop.rows("events")} == {BEFORE, DAY}
    assert f"3 landed records are of days before the window ({older} to {old})" in capsys.readouterr().out
    assert "reconciliation" not in shop.run(window_days=30).tables, "run twice"
    assert counted(shop) == cleaned | waiting
    with pytest.raises(ValueError, match=f"No published events for clicks {old}"):
        shop.split(old)
    shop.run(window_days=50)
    assert counted(shop) == cleaned | {old: {"rows_in": 2, "event": 2}, older: waiting[older]}
    write(shop, *lines[1:], changed=DAY)
    shop.run(window_days=30)
    assert counted(shop) == cleaned | {old: {"rows_in": 2, "event": 2}}, "a day that left the file counts no more"


def test_late_records_of_a_cleaned_day_before_the_window_are_cleaned_too(shop: ShopFixture) -> None:
    shop.describe(GROWING)
    old = DAY - timedelta(days=40)
    lines = [record(f"{old}T10:00:00Z"), record(f"{DAY}T10:00:00Z")]
    write(shop, *lines)
    shop.run(window_days=50)
    write(shop, *lines, record(f"{old}T11:00:00Z", "P2"))
    shop.run(window_days=30)
    assert counted(shop) == {old: {"rows_in": 2, "event": 2}, DAY: {"rows_in": 1, "event": 1}}


def test_late_records_of_a_dated_file_before_the_window_are_counted(shop: ShopFixture) -> None:
    shop.describe()
    shop.deliver(record(f"{BEFORE}T10:00:00Z"), record(f"{DAY}T10:00:00Z", "P2"))
    shop.run(window_days=1)
    assert counted(shop) == {BEFORE: {"rows_in": 1, "before_window": 1}, DAY: {"rows_in": 1, "event": 1}}


def test_later_days_of_a_file_give_the_same_day_by_day_or_at_once(shop: ShopFixture) -> None:
    shop.describe(GROWING)
    last = DAY + timedelta(days=3)
    lines = [record(f"{DAY + timedelta(days=day)}T10:00:00Z", f"P{day}") for day in range(-2, 4)]
    write(shop, *lines, record("2026-11-30T00:00:00Z"), changed=last)
    shop.run(BEFORE, 0)
    assert sorted(row["ds"] for row in shop.rows("reconciliation") if row["outcome"] == "waiting") == [
        DAY + timedelta(days=day) for day in range(4)
    ]
    for day in range(4):
        shop.run(DAY + timedelta(days=day), 0)
    by_day = counted(shop)
    assert sum(counts["rows_in"] for counts in by_day.values()) == len(lines) + 1
    assert sum(counts["event"] for counts in by_day.values()) == len(lines)
    assert by_day[BEFORE]["quarantine"] == 1, "later than its file by more than a day"
    quarantine = shop.rows("quarantine")
    assert [row["ds"] for row in quarantine] == [BEFORE]
    events = shop.rows("events")
    shop.describe(GROWING.replace('"clicks"', '"at_once"')).run(last, 0)
    assert shop.rows("events") == events


def test_a_file_with_only_later_records_is_one_clear_error(shop: ShopFixture) -> None:
    shop.describe(GROWING)
    write(shop, record("2026-11-21T00:00:00Z"), record("2031-11-21T00:00:00Z"), record("never"))
    for window_days in (0, 1):
        with pytest.raises(
            SourceError, match=r"No event of clicks happened by 2026-11-20: .* 2026-11-21 to 2031-11-21"
        ):
            shop.land(window_days=window_days)


def test_an_evening_that_is_the_next_day_in_utc_is_cleaned_by_its_run(shop: ShopFixture) -> None:
    shop.describe()
    evening = ("2026-11-20T16:00:00Z", "2026-11-21T07:59:59Z", "2026-11-22T00:00:00Z")
    shop.deliver(*(record(time, f"P{n}") for n, time in enumerate(evening)))
    shop.run()
    today = {"rows_in": 2, "event": 1, "quarantine": 1}
    assert counted(shop) == {DAY: today, NEXT: {"rows_in": 1, "waiting": 1}}
    with pytest.raises(FileNotFoundError, match=r"for 2026-11-21: .* 1 records of that day came with other files"):
        shop.land(NEXT)
    shop.deliver(record("2026-11-21T16:00:00Z"), day=NEXT)
    shop.run(NEXT)
    assert counted(shop) == {DAY: today, NEXT: {"rows_in": 2, "event": 2}}
    assert [(row["ds"], row["arrived"]) for row in shop.rows("events", "ds", "arrived")] == [
        (DAY, DAY),
        (NEXT, DAY),
        (NEXT, NEXT),
    ]
    shop.deliver(record("2026-11-20T16:00:00Z", "P0"))
    shop.run(NEXT, 2)
    assert counted(shop) == {DAY: {"rows_in": 1, "event": 1}, NEXT: {"rows_in": 1, "event": 1}}, "delivered anew"


def test_no_job_lands_or_cleans_a_day_that_has_not_begun(shop: ShopFixture) -> None:
    for step in (shop.describe().land, shop.clean):
        with pytest.raises(FutureDateError, match="2099-01-01 of clicks is later than today"):
            step(date(2099, 1, 1))
