"""Values that a mapping reads from a shop's files: epochs, times, ids, numbers, and repeated catalog records."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.quality.gate_runner import GateRun
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.cleaning.join_rates import has_irregular_ids
from spark_jobs.common.gate_tables import register_facts, register_tables
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

EPOCHS = """
name = "clicks"
[events]
path = "log.jsonl"
format = "json"
[events.columns]
ts = "timestamp_millis(bigint(ts))"
event_type = "type"
item_id = "item"
user_key = "user"
"""
GOOD = 1_795_165_200_000
BAD = (
    GOOD * 1_000_000,
    GOOD // 1_000,
    0,
    -62_135_596_800_000,
    99_999_999_999_999_999_999,
    GOOD * 1_000,
    GOOD * 1_000 + 7,
)


def test_an_epoch_in_another_unit_is_rejected_without_ending_the_run(shop: ShopFixture) -> None:
    shop.describe(EPOCHS)
    lines = [{"ts": ts, "type": "view", "item": "P1", "user": f"u{place}"} for place, ts in enumerate((GOOD, *BAD))]
    (shop.files / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    shop.run()
    counts = shop.outcomes()
    assert (counts["rows_in"], counts["event"]) == (8, 1)
    assert counts["unparsable_time"] + counts["impossible_time"] == 7
    refused = {json.loads(row["raw"])["ts"]: row["rule"] for row in shop.rows("quarantine")}
    assert refused["99999999999999999999"] == "unparsable_time"
    assert refused[str(GOOD * 1_000)] == "unparsable_time"


def test_a_time_of_day_is_never_a_time_of_the_day_of_the_run(shop: ShopFixture) -> None:
    shop.describe(
        CLICKS.replace('ts = "time"', "ts = \"concat_ws(' ', time, words)\"").replace('query = "words"\n', "")
    )
    clock = ("09:12:33", "T09:12", "12:00", " 9:12", "2026", "2026-11")
    lines = [f"{text},view,P1,ann,s1,,," for text in clock]
    shop.deliver("2026-11-20,view,P1,ann,s1,,,10:00", "2026-11-20,view,P2,ann,s1,,,", ",view,P3,ann,s1,,,10:00", *lines)
    shop.run()
    assert shop.outcomes() == {"rows_in": 9, "event": 2, "unparsable_time": 7}
    assert {row["ts"].hour for row in shop.rows("events")} == {0, 10}


def test_a_name_that_spark_would_fill_in_is_an_unmapped_column(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace('"who"', '"user"'))
    shop.deliver("2026-11-20T09:00:00Z,view,P1,ann,s1,,,")
    shop.land()
    with pytest.raises(
        SourceError, match=r"events.columns.user_key = 'user' does not fit the files.* time, kind, item, who"
    ):
        shop.clean()
    shop.deliver("2026-11-20T09:00:00Z,view,P1,ann,s1,,,", header=HEADER.replace("who", "user"))
    shop.run()
    assert [row["user_key"] for row in shop.rows("events")] == ["ann"]


def test_an_undeclared_decimal_comma_is_rejected(shop: ShopFixture) -> None:
    lines = [
        f'2026-11-20T09:00:00Z,purchase,P{place},ann,s1,"{price}","{units}",'
        for place, (price, units) in enumerate([("12,50 €", "0,750"), ("1.234,56", "1"), ("1,250", "2"), ("7", "3")])
    ]
    shop.deliver(*lines)
    shop.run()
    assert shop.outcomes() == {"rows_in": 4, "event": 1, "unparsable_number": 3}
    details = sorted(row["detail"] for row in shop.rows("quarantine"))
    assert details[0] == 'price=1,250 has a comma: set decimal = "," or "." beside name in the TOML'
    shop.describe('decimal = ","\n' + CLICKS)
    shop.clean()
    found = {row["item_id"]: (row["price"], row["quantity"]) for row in shop.rows("events")}
    assert found == {"P0": (12.5, 0.75), "P1": (1234.56, 1.0), "P2": (1.25, 2.0), "P3": (7.0, 3.0)}


def test_prices_of_several_currencies_are_converted_or_rejected(shop: ShopFixture) -> None:
    mixed = CLICKS.replace('query = "words"', 'currency = "words"')
    with pytest.raises(SourceError, match=r"events.columns.currency needs rates: add \[currencies\]"):
        shop.describe(mixed)
    shop.describe(mixed + '[currencies]\nbase = "EUR"\nrates = { USD = 0.5, gbp = 1.25 }\n')
    codes = ("EUR", " usd", "GBP", "JPY", "")
    shop.deliver(*(f"2026-11-20T09:00:00Z,purchase,P{code.strip()},ann,s1,10,,{code}" for code in codes))
    shop.run()
    assert {row["item_id"]: row["price"] for row in shop.rows("events")} == {"PEUR": 10.0, "Pusd": 5.0, "PGBP": 12.5}
    assert sorted(row["detail"] for row in shop.rows("quarantine")) == [
        "currency=JPY has no rate: add it to [currencies] in the TOML",
        "currency=NULL has no rate: add it to [currencies] in the TOML",
    ]


CATALOG = """
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "sku"
title = "name"
brand = "maker"
price = "price"
[users]
path = "users.csv"
format = "csv"
[users.columns]
user_key = "id"
[users.attributes]
country = "country"
"""
UPDATED = CATALOG.replace("[users]", 'updated_at = "told"\n[users]').replace(
    "[users.attributes]", 'updated_at = "told"\n[users.attributes]'
)
ITEMS = """sku,name,maker,price,told
L1,Lamp v0,Glow,23,2026-11-03
L1,Lamp v2,,223,2026-11-01
L1,,,,2026-11-09
L2,Chair v0,,5,1763600000
L2,Chair v1,Oak,6,1763600000
"""
USERS = "id,country,told\n7,DE,2026-11-02\n7,AT,2026-11-01\n8,FR,\n"


def test_the_newest_description_is_kept_and_unmatched_ids_are_named(shop: ShopFixture) -> None:
    shop.describe(CLICKS + CATALOG)
    (shop.files / "items.csv").write_text(ITEMS)
    (shop.files / "users.csv").write_text(USERS)
    shop.deliver(*(f"2026-11-20T09:0{n}:00Z,view,L{n}.0,{n + 6}.0,s1,,," for n in (1, 2)))
    manifest = shop.run()
    items = {row["item_id"]: (row["title"], row["brand"], row["price"]) for row in shop.rows("items") if row["listed"]}
    assert items == {"L1": ("Lamp v2", None, 223.0), "L2": ("Chair v1", "Oak", 6.0)}, "the last of the file"
    assert manifest.facts["unmatched_items"] == (
        "2 of the 2 items of the events are not in the catalog: events have 'L1.0', 'L2.0', the list 'L1', 'L2' (a "
        "column of numbers became one of floats in the events: regexp_replace(id, '[.]0$', ''))"
    )
    assert "events have '7.0', '8.0', the list '7', '8'" in manifest.facts["unmatched_users"]
    register_tables(shop.spark, shop.lake, manifest)
    register_facts(shop.spark, manifest)
    for table in ("items", "users"):
        _, findings = GateRun(shop.files / "docs", "night").validate(table, shop.spark.table(table))
        [found] = [one for one in findings if "of the events are in the" in one.description]
        assert found.severity == "warning"
        assert "7.0" in found.observed or "L1.0" in found.observed

    shop.describe(
        CLICKS.replace('"item"', "\"replace(item, '.0')\"").replace('"who"', "\"replace(who, '.0')\"") + UPDATED
    )
    manifest = shop.run()
    assert not {"unmatched_items", "unmatched_users"} & set(manifest.facts)
    titles = {row["item_id"]: row["title"] for row in shop.rows("items")}
    assert titles == {"L1": "Lamp v0", "L2": "Chair v1"}, "the newest, the fullest of one moment"
    assert {row["user_key"]: row["attributes"] for row in shop.rows("users")} == {
        "7": '{"country":"DE"}',
        "8": '{"country":"FR"}',
    }


REGULAR_IDS = ["CAF\u00c9-01", "P 1", None, "\u00e9t\u00e9", "\u624b\u673a", "a\u00a0b", "a\tb"]


@pytest.mark.parametrize(
    "last",
    [
        None,
        "e\u0301",
        "P1\r",
        "P1\n",
        "\tP1",
        "\x00P1",
        "P1\x1f",
        "P1\x7f",
        "P1\x85",
        "P1\u00a0",
        "\u3000P1",
        "\ufeff",
        "\u200b",
    ],
)
def test_irregular_ids_are_found(tmp_path: Path, last: str | None) -> None:
    pq.write_table(pa.table({"item_id": [*REGULAR_IDS, last]}), tmp_path / "one.parquet")
    staged = StagedTable(days=[DAY], files=[str(tmp_path / "one.parquet")], rows=len(REGULAR_IDS) + 1)
    assert has_irregular_ids(staged, "item_id") == (last is not None)


def test_a_value_that_fails_the_job_is_one_line_with_the_expression(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace('ts = "time"', "ts = \"to_utc_timestamp(time, coalesce(words, 'UTC'))\""))
    shop.deliver("2026-11-20T09:00:00,view,P1,ann,s1,1,1,", "2026-11-20T09:00:00,view,P1,ann,s1,1,1,Mars")
    with pytest.raises(SourceError) as failed:
        shop.land()
    message = str(failed.value)
    assert message.startswith(
        "events.columns.ts = \"to_utc_timestamp(time, coalesce(words, 'UTC'))\" fails on a value of the"
    )
    assert "Mars" in message
    assert "\n" not in message
    shop.describe(CLICKS.replace('item_id = "item"', 'item_id = "regexp_extract(item, words, 0)"'))
    shop.deliver("2026-11-20T09:00:00,view,P1,ann,s1,1,1,P.", "2026-11-20T09:00:00,view,P1,ann,s1,1,1,(")
    shop.land()
    with pytest.raises(
        SourceError, match=r"^events.columns.item_id = .* fails on a value of the files: .*use a try_ function"
    ):
        shop.clean()
    assert DAY not in {row["ds"] for row in shop.rows("events")}
