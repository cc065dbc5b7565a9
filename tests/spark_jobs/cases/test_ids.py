"""Ids are equal without white space and in any Unicode form; ids that only look alike stay apart."""

import csv
import unicodedata
from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.spark_jobs.cases.case_run import balanced, land_and_clean
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

# Floats: the log's ids went through pandas' float64, the catalog's did not (lyst/lightfm#570).
FLOATS = """
name = "float_ids"
[events]
path = "events.csv"
format = "csv"
[events.columns]
ts = "time"
event_type = "event"
item_id = "item"
user_key = "user"
query = "query"
[items]
path = "catalog.csv"
format = "csv"
[items.columns]
item_id = "item_id"
title = "title"
category = "department"
[users]
path = "users.csv"
format = "csv"
[users.columns]
user_key = "id"
[users.attributes]
country = "country"
"""


def deliver_floats(shop: ShopFixture) -> None:
    """Write 200 events with ids as `5863.0`, a catalog of twelve and a list of ten users with whole numbers."""
    rows = []
    for n in range(200):
        at = f"{datetime(2026, 11, 18, 7) + timedelta(minutes=19 * n):%Y-%m-%d %H:%M:%S}"
        user = f"{1001 + n % 10}.0"
        if n % 10 == 9:
            rows.append(f"{at},search,,{user},mug {n % 3}")
        else:
            item = 5860 + (n * 5 + n // 10) % 12
            rows.append(f"{at},{['view', 'view', 'cart', 'purchase'][n % 4]},{item}.0,{user},")
    (shop.files / "events.csv").write_text("\n".join(["time,event,item,user,query", *rows]) + "\n")
    mugs = [f"{5860 + n},Stoneware mug {n},Kitchen" for n in range(12)]
    (shop.files / "catalog.csv").write_text("\n".join(["item_id,title,department", *mugs]) + "\n")
    people = [f"{1001 + n},{['DE', 'FR'][n % 2]}" for n in range(10)]
    (shop.files / "users.csv").write_text("\n".join(["id,country", *people]) + "\n")


def test_ids_without_their_decimals_join_the_catalog(shop: ShopFixture) -> None:
    toml = FLOATS
    for name in ("item", "user"):
        toml = toml.replace(f'= "{name}"\n', f"= \"regexp_replace({name}, '[.]0$', '')\"\n")
    shop.describe(toml)
    deliver_floats(shop)
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 200, "event": 200}
    items = shop.rows("items")
    assert len(items) == 12
    assert all(row["title"] and row["last_seen"] for row in items)
    users = shop.rows("users")
    assert len(users) == 10
    assert all("country" in row["attributes"] for row in users)


def test_ids_with_decimals_join_or_a_warning_shows_both_forms(shop: ShopFixture) -> None:
    shop.describe(FLOATS)
    deliver_floats(shop)
    report = land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 200, "event": 200}
    if len(shop.rows("items")) == 12:
        assert len(shop.rows("users")) == 10
        return
    for table, seen, listed in (("items", "5860.0", "5860"), ("users", "1001.0", "1001")):
        [finding] = [one for one in report.findings if one.table == table and seen in str(one)]
        assert finding.severity == "warning"
        assert f"{listed}'" in str(finding)
        assert "a column of numbers became one of floats" in str(finding)


# Forms: white space that trim leaves, decomposed letters (OpenRefine/OpenRefine#603, apache/spark#26626).
VIEWS = """
name = "look_alike_ids"
[events]
path = "views.csv"
format = "csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "who"
"""
ONE = ["P1", "P1 ", " P1", "P1\t", "P1\u00a0", "\u3000P1", "\ufeffP1", "P1\u200b"]
ACCENT = [unicodedata.normalize(form, "CAFÉ-01") for form in ("NFC", "NFD")]
ZOE = [unicodedata.normalize(form, "zoë") for form in ("NFC", "NFD")]
APART = [
    "aB3_x",
    "AB3_X",
    "00123",
    "123",
    "18446744073709551615",
    "18446744073709551614",
    "1E5",
    "100000",
    "-9x",
    "_9x",
    "🦊",
    "NULLA",
    "nano",
]
MISSING_IDS = ["\u00a0", "\u3000", "\t", "\u200b"]
VALID_IDS = [
    "-42",
    "ann@example.com",
    "Ann@example.com",
    "🦊ann",
    "0042",
    "42",
    "9223372036854775808",
    "9223372036854775807",
]


def test_white_space_is_trimmed_and_letters_are_composed(shop: ShopFixture) -> None:
    shop.describe(VIEWS)
    pairs = [(item, user) for item in (*ONE, *ACCENT, *APART) for user in ("u1", "u2")]
    pairs += [(item, user) for user in (*MISSING_IDS, *VALID_IDS, *ZOE) for item in ("Q1", "Q2")]
    start = datetime(2026, 11, 20, 8)
    times = [f"{start + timedelta(minutes=2 * n):%Y-%m-%d %H:%M:%S}" for n in range(len(pairs))]
    rows = [[at, "view", *pair] for at, pair in zip(times, pairs, strict=True)]
    with (shop.files / "views.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["time", "kind", "item", "who"], *rows])
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 74, "event": 74}
    events = shop.rows("events")
    items = Counter(row["item_id"] for row in events)
    assert items == {"P1": 16, "Q1": 14, "Q2": 14, ACCENT[0]: 4} | dict.fromkeys(APART, 2)
    assert sum(row["user_key"] is None for row in events) == 8
    assert {row["user_key"] for row in shop.rows("users")} == {"u1", "u2", ZOE[0], *VALID_IDS}
