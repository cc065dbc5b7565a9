import pytest

from tests.spark_jobs.one_shop import CATALOG, CLICKS, USERS, ShopFixture

pytestmark = pytest.mark.spark


def test_duplicate_item_ids_leave_the_most_complete_record(shop: ShopFixture) -> None:
    shop.describe(CLICKS + CATALOG)
    shop.deliver("2026-11-20T09:00:00Z,view,P1,ann,s1,4.50,,", "2026-11-20T09:01:00Z,view,P9,ann,s1,7.25,,")
    catalog = [
        "sku,name,price,size,color",
        "P1,,,,",
        "P1,Tea   pot,5,big,red/ /dark  blue",
        "P2,Cup,,,",
        ",Nothing,1,,",
    ]
    (shop.files / "items.csv").write_text("\n".join(catalog) + "\n")
    shop.run()
    items = {row["item_id"]: (row["title"], row["price"], row["attributes"]) for row in shop.rows("items")}
    assert items == {
        "P1": ("Tea pot", 5.0, '{"color":["red","dark blue"],"size":"big"}'),
        "P2": ("Cup", None, None),
        "P9": (None, 7.25, None),
    }
    refused = {(row["rule"], row["detail"]) for row in shop.rows("quarantine")}
    assert refused == {("duplicate_item_id", "item_id=P1"), ("missing_item", None)}
    assert shop.outcomes() == {"rows_in": 2, "event": 2}
    assert shop.catalog_outcomes() == {"items_in": 4, "items_accepted": 2, "items_quarantine": 2}


def test_repeated_catalog_records_are_counted_apart_from_events(shop: ShopFixture) -> None:
    shop.describe(CLICKS + CATALOG + USERS)
    shop.deliver(*(f"2026-11-20T09:00:{second:02}Z,view,P{second},ann,s1,4.50,," for second in range(18)))
    lines = [f"P{number},Cup {number},5,big,red" for number in range(510)]
    catalog = [
        "sku,name,price,size,color",
        *lines,
        *lines[:10],
        "P11,Cup 11,6,big,red",
        "P12,Cup  12,5.0,big,red",
        ",,,,",
    ]
    (shop.files / "items.csv").write_text("\n".join(catalog) + "\n")
    (shop.files / "users.csv").write_text("who,club\nann,red\nann,red\nbob,\n")
    shop.run()
    assert shop.outcomes() == {"rows_in": 18, "event": 18}
    assert shop.catalog_outcomes() == {
        "items_in": 523,
        "items_accepted": 510,
        "items_duplicate": 11,
        "items_quarantine": 2,
        "users_in": 3,
        "users_accepted": 2,
        "users_duplicate": 1,
    }
    counts = {(row["outcome"], row["rule"]): row["rows"] for row in shop.rows("reconciliation")}
    assert counts["items_quarantine", "duplicate_item_id"] == counts["items_quarantine", "missing_item"] == 1


def test_an_item_without_a_catalog_has_the_price_of_its_last_event(shop: ShopFixture) -> None:
    shop.deliver(
        "2026-11-20T09:00:00Z,view,P1,ann,s1,4.50,,",
        "2026-11-20T11:00:00Z,view,P1,bob,s2,6.00,,",
        "2026-11-20T10:00:00Z,view,P1,cat,s3,5.00,,",
        "2026-11-20T09:00:00Z,view,P2,ann,s1,3.00,,",
        "2026-11-20T12:00:00Z,view,P2,bob,s2,,,",
        "2026-11-20T12:00:00Z,view,P3,ann,s1,1.00,,",
        "2026-11-20T12:00:00Z,view,P3,bob,s2,2.00,,",
    )
    shop.run()
    prices = {row["item_id"]: row["price"] for row in shop.rows("items")}
    last = max((row for row in shop.rows("events") if row["item_id"] == "P3"), key=lambda row: row["event_id"])
    assert prices == {"P1": 6.0, "P2": None, "P3": last["price"]}, "of one moment's events the largest id decides"


def test_a_catalog_without_titles_is_one_clear_error(shop: ShopFixture) -> None:
    shop.describe(CLICKS + CATALOG)
    shop.deliver("2026-11-20T09:00:00Z,view,P1,ann,s1,,,")
    (shop.files / "items.csv").write_text("sku,name,price,size,color\nP1,,5,,\n")
    shop.land()
    with pytest.raises(ValueError, match=r"No item of clicks has a title: items.columns.title = 'name' is empty"):
        shop.clean()
    assert shop.rows("events") == [], "nothing was published"
