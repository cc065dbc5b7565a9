from datetime import date

import pytest

from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

GOOD = (
    "2026-11-20T09:00:00Z,view,P1,ann,s1,9.99,,",
    "2026-11-20T09:00:10Z,Cart ,P1,ann,s1,9.99,,",
    "2026-11-20T09:00:20Z,purchase,P1,ann,s1,£9.99,,",
    '2026-11-20T10:00:00Z,purchase,P2,bob,s2,"$1,250.00",2,',
    "2026-11-20T10:01:00Z,search,,bob,s2,,,  Red   TEAPOT ",
    "2026-11-20 11:00:00,view,P2,,s3,,,",
)


def test_values_are_typed_and_normalized(shop: ShopFixture) -> None:
    shop.deliver(*GOOD)
    shop.run()
    events = {(row["user_key"], row["event_type"]): row for row in shop.rows("events")}
    assert set(events) == {
        ("ann", "view"),
        ("ann", "cart"),
        ("ann", "purchase"),
        ("bob", "purchase"),
        ("bob", "search"),
        (None, "view"),
    }
    assert events["ann", "purchase"]["price"] == 9.99
    assert events["ann", "purchase"]["quantity"] == 1.0, "an ordered item without a quantity is one"
    assert events["ann", "view"]["quantity"] is None
    assert events["bob", "purchase"]["price"] == 1250.0
    assert events["bob", "search"]["query"] == "red teapot"
    assert events["bob", "search"]["item_id"] is None
    assert events[None, "view"]["session_id"] == "s3"
    assert events[None, "view"]["ts"].isoformat() == "2026-11-20T11:00:00+00:00"


REFUSED = {
    "20/11/2026 9 o'clock,view,P1,ann,s1,,,": "unparsable_time",
    ",view,P1,ann,s1,,,": "unparsable_time",
    "2099-01-01T00:00:00Z,view,P1,ann,s1,,,": "impossible_time",
    "1970-01-01T00:00:00Z,view,P1,ann,s1,,,": "impossible_time",
    "2026-11-20T09:00:00Z,hover,P1,ann,s1,,,": "unknown_event_type",
    "2026-11-20T09:00:00Z,,P1,ann,s1,,,": "unknown_event_type",
    "2026-11-20T09:00:00Z,view,,ann,s1,,,": "missing_item",
    "2026-11-20T09:00:00Z,view,NaN,ann,s1,,,": "missing_item",
    "2026-11-20T09:00:00Z,view,P1,ann,s1,cheap,,": "unparsable_number",
    '2026-11-20T09:00:00Z,view,P1,ann,s1,"12,50",,': "unparsable_number",
    "2026-11-20T09:00:00Z,view,P1,ann,s1,-3,,": "impossible_number",
    "2026-11-20T09:00:00Z,view,P1,ann,s1,1e12,,": "impossible_number",
    "2026-11-20T09:00:00Z,purchase,P1,ann,s1,3,0,": "positive_quantity",
    "2026-11-20T09:00:00Z,purchase,P1,ann,s1,3,-2,": "positive_quantity",
    "2026-11-20T09:00:00Z,view,P1": "corrupt_record",
}


def test_each_rejected_record_is_kept_with_its_rule(shop: ShopFixture) -> None:
    path = shop.deliver(*GOOD, *REFUSED)
    shop.run()
    quarantine = shop.rows("quarantine")
    assert sorted(row["rule"] for row in quarantine) == sorted(REFUSED.values())
    assert {row["source_file"] for row in quarantine} == {str(path)}
    words = next(row for row in quarantine if "cheap" in row["raw"])
    assert (words["rule"], words["detail"]) == ("unparsable_number", "price")
    late = next(row for row in quarantine if "2099" in row["raw"])
    assert late["detail"] == "ts=2099-01-01 00:00:00"
    assert next(row for row in quarantine if row["rule"] == "corrupt_record")["raw"] == "2026-11-20T09:00:00Z,view,P1"
    counts = shop.outcomes()
    assert counts["rows_in"] == len(GOOD) + len(REFUSED)
    assert counts["event"] == len(GOOD)


def test_exact_and_near_duplicates_become_one(shop: ShopFixture) -> None:
    act = "2026-11-20T09:00:00.{}Z,{},P1,ann,s1,9.99,,"
    shop.deliver(
        act.format("000", "view"),
        act.format("000", "view"),
        act.format("600", "view"),
        act.format("700", "click"),
        "2026-11-20T09:00:05Z,view,P1,ann,s1,9.99,,",
        "2026-11-20T09:00:00.100Z,view,P1,bob,s2,9.99,,",
        "2026-11-20T09:00:00.100Z,view,P1,,,9.99,,",
        "2026-11-20T09:00:00.200Z,view,P1,,,9.99,,",
    )
    shop.run()
    assert shop.outcomes() == {"rows_in": 8, "event": 6, "exact_duplicates": 1, "near_duplicates": 1}
    shop.clean(rules="exact_duplicates")
    assert shop.outcomes() == {"rows_in": 8, "event": 7, "exact_duplicates": 1}


def test_equal_records_that_are_units_have_different_ids(shop: ShopFixture) -> None:
    unit = "2026-11-20,purchase,P1,{},,9.99,1,"
    shop.describe(CLICKS + '[rules]\non = ["positive_quantity", "bots"]\n')
    shop.deliver(*[unit.format("ann")] * 3, *[unit.format("")] * 2, unit.format("bob"), *[",view,P1,ann,s1,,,"] * 2)
    shop.run()
    assert shop.outcomes() == {"rows_in": 8, "event": 6, "unparsable_time": 2}
    ids = [row["event_id"] for row in shop.rows("events")]
    assert len(set(ids)) == 6
    shop.deliver(
        *[unit.format("ann")] * 2,
        "2026-11-21,purchase,P1,ann,,9.99,1,",
        day=date(2026, 11, 21),
    )
    shop.run(date(2026, 11, 21), window_days=2)
    later = [row["event_id"] for row in shop.rows("events") if row["ds"] == DAY]
    assert len(set(later)) == 8
    assert set(ids) < set(later), "copies that arrive later leave the ids of earlier ones as they were"
    shop.clean(rules="exact_duplicates")
    kept = {row["event_id"] for row in shop.rows("events") if row["ds"] == DAY}
    assert len(kept) == 3
    assert kept < set(ids), "the first of equal records has the id that it has without copies"


def test_a_bot_is_rejected_and_other_users_are_not(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_tasks.config.settings import settings

    monkeypatch.setenv("NIGHTSHELF_CLEANING__BOT_EVENTS_PER_DAY", "5")
    settings.cache_clear()
    bot = [f"2026-11-20T09:00:{second:02d}Z,view,P{second},bot,s9,,," for second in range(0, 60, 10)]
    busy = [f"2026-11-20T09:00:{second:02d}Z,view,P{second},ann,s1,,," for second in range(0, 50, 10)]
    shop.deliver(*bot, *busy)
    shop.run()
    assert shop.outcomes() == {"rows_in": 11, "event": 5, "bots": 6}
    assert {row["detail"] for row in shop.rows("quarantine")} == {"user_key=bot session_id=s9"}


def test_service_codes_and_cancellations_follow_their_switches(shop: ShopFixture) -> None:
    shop.describe(CLICKS + '[rules]\non = ["service_codes", "cancellations"]\nservice_codes = ["POST", "gift_.*"]\n')
    shop.deliver(
        "2026-11-20T09:00:00Z,purchase,POST,ann,s1,3,1,",
        "2026-11-20T09:00:00Z,purchase,gift_10,ann,s1,3,1,",
        "2026-11-20T09:00:00Z,purchase,POSTER,ann,s1,3,1,",
        "2026-11-20T09:10:00Z,cancellation,POSTER,ann,s1,3,-1,",
    )
    shop.run()
    assert shop.outcomes() == {"rows_in": 4, "event": 2, "service_codes": 2}
    assert [row["quantity"] for row in shop.rows("events") if row["event_type"] == "cancellation"] == [1.0]
    shop.clean(rules="positive_quantity,known_user")
    assert shop.outcomes() == {"rows_in": 4, "event": 3, "positive_quantity": 1}


def test_a_run_cleans_only_days_that_changed(shop: ShopFixture) -> None:
    before = date(2026, 11, 19)
    shop.deliver("2026-11-19T09:00:00Z,view,P1,ann,s1,,,", day=before)
    shop.deliver("2026-11-20T09:00:00Z,view,P2,ann,s2,,,")
    first = shop.run(window_days=2)
    assert first.tables["events"].days == [before, DAY]
    again = shop.run(window_days=2)
    assert "events" not in again.tables, "nothing changed, nothing is cleaned"
    files = shop.lake.files("events", (before, before))
    shop.deliver("2026-11-20T09:00:00Z,view,P3,ann,s2,,,")
    changed = shop.run(window_days=2)
    assert changed.tables["events"].days == [DAY]
    assert shop.lake.files("events", (before, before)) == files
    assert [row["item_id"] for row in shop.rows("events")] == ["P1", "P3"] or {
        row["item_id"] for row in shop.rows("events")
    } == {"P1", "P3"}


def test_a_late_event_joins_its_own_day(shop: ShopFixture) -> None:
    before = date(2026, 11, 19)
    shop.deliver("2026-11-19T09:00:00Z,view,P1,ann,s1,,,", day=before)
    shop.run(before, window_days=2)
    shop.deliver(
        "2026-11-20T09:00:00Z,view,P2,ann,s2,,,",
        "2026-11-19T23:59:00Z,view,P3,ann,s1,,,",
        "2026-11-01T09:00:00Z,view,P4,ann,s1,,,",
    )
    manifest = shop.run(window_days=2)
    assert manifest.tables["events"].days == [before, DAY]
    events = {row["item_id"]: (row["ds"], row["arrived"]) for row in shop.rows("events")}
    assert events == {"P1": (before, before), "P2": (DAY, DAY), "P3": (before, DAY)}
    assert shop.outcomes(DAY) == {"rows_in": 2, "event": 1, "impossible_time": 1}, "19 days late is no late event"


def test_the_same_run_twice_gives_identical_tables(shop: ShopFixture) -> None:
    shop.deliver(*GOOD, *REFUSED)
    shop.run()
    tables = ("events", "quarantine", "reconciliation", "items", "users")
    first = {name: shop.rows(name) for name in tables}
    shop.run()
    assert {name: shop.rows(name) for name in tables} == first
    shop.clean(rules="bots")
    shop.clean()
    assert {name: shop.rows(name) for name in tables} == first, "rules switched off and on again leave no trace"


def test_a_day_with_one_user_is_cleaned(shop: ShopFixture) -> None:
    shop.deliver("2026-11-20T09:00:00Z,view,P1,ann,s1,,,")
    shop.run()
    assert [(row["user_key"], row["first_seen"], row["last_seen"]) for row in shop.rows("users")] == [("ann", DAY, DAY)]
    with pytest.raises(ValueError, match="choose a longer window"):
        shop.split()


def test_cleaning_a_day_that_was_not_landed_is_one_clear_error(shop: ShopFixture) -> None:
    shop.describe()
    with pytest.raises(ValueError, match=r"No events for 2026-11-20 in .*: land that day first \(nightshelf run"):
        shop.clean()


def test_an_unknown_rule_is_one_clear_error(shop: ShopFixture) -> None:
    shop.deliver(HEADER)
    with pytest.raises(ValueError, match="rules no_such_rule do not exist: choose among known_user"):
        shop.clean(rules="no_such_rule")
