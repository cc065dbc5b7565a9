"""Days and hours of a shop with a time zone in its TOML."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.quality.gate_report import GateReport
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.times import hour_sql
from spark_jobs.landing.event_days import day_number, day_of, shop_clock
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.one_shop import CLICKS, DAY, ShopFixture

pytestmark = pytest.mark.spark

LOS_ANGELES = "America/Los_Angeles"


def zoned(zone: str, toml: str = CLICKS) -> str:
    return f'timezone = "{zone}"\n{toml}'


def record(time: str, item: str) -> str:
    return f"{time},view,{item},{item},{item},,,"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def gate(shop: ShopFixture, manifest: Manifest) -> GateReport:
    write_manifest(settings(), manifest)
    return validate_step(shop.spark, settings(), RunKey(manifest.source, manifest.ds), manifest.step)


def test_a_zone_that_java_lacks_is_one_clear_error(spark: SparkSession) -> None:
    with (
        pytest.raises(SourceError, match="timezone 'Mars/Olympus' is unknown to this Java"),
        shop_clock(spark, "Mars/Olympus"),
    ):
        pass
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


WRITTEN = {
    # The clock of the shop, read in its zone; hours that the change of clocks skips are an hour later.
    "2026-11-20 23:30:00": "2026-11-21T07:30",
    "2026-11-20": "2026-11-20T08:00",
    "2026-03-08 02:30:00": "2026-03-08T10:30",
    # Of an hour that comes twice, the first.
    "2026-11-01 01:30:00": "2026-11-01T08:30",
    # What names an offset is that moment.
    "2026-11-20T23:30:00Z": "2026-11-20T23:30",
    "2026-11-20T23:30:00+05:30": "2026-11-20T18:00",
    "2026-11-01 01:30:00-08:00": "2026-11-01T09:30",
}


def test_times_without_an_offset_are_read_in_the_shops_zone(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text, f"{text[8:10]}.{text[5:7]}.{text[:4]} {text[11:16]}") for text in WRITTEN])
    formats = {"text": "_1", "format": "try_to_timestamp(_2, 'dd.MM.yyyy HH:mm')", "ntz": "_1::timestamp_ntz"}
    with shop_clock(spark, LOS_ANGELES):
        read = rows.select(*(F.expr(text).try_cast("timestamp").alias(name) for name, text in formats.items()))
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    micros = read.select(*(F.unix_micros(name).alias(name) for name in formats)).collect()
    wanted = [round(utc(text).timestamp()) * 1_000_000 for text in WRITTEN.values()]
    assert [row["text"] for row in micros] == wanted
    local = [0, 2, 3]
    for name in ("format", "ntz"):
        assert [micros[place][name] for place in local] == [wanted[place] for place in local]


@pytest.mark.parametrize("zone", [LOS_ANGELES, "Asia/Kolkata", "Africa/Cairo", "Pacific/Kiritimati"])
def test_days_and_hours_of_a_zone_equal_pythons_at_every_time(spark: SparkSession, zone: str) -> None:
    moments = [utc("2026-01-01T00:15") + timedelta(hours=step) for step in range(0, 365 * 24, 7)]
    micros = [round(moment.timestamp()) * 1_000_000 for moment in moments]
    ends = [-(2**63), 2**63 - 1, -62_135_596_800_000_000, 253_402_300_800_000_000]
    rows = spark.createDataFrame([(one,) for one in [*micros, *ends]], "micros long")
    ts = "timestamp_micros(micros)"
    found = rows.select(
        day_of(ts, zone).cast("string").alias("day"),
        F.expr(hour_sql(ts, zone)).alias("hour"),
        day_number("micros", zone).alias("number"),
    ).collect()
    from zoneinfo import ZoneInfo

    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    assert [(row["day"], row["hour"]) for row in found[: len(local)]] == [(str(at.date()), at.hour) for at in local]
    assert [row["number"] for row in found[: len(local)]] == [(at.date() - date(1970, 1, 1)).days for at in local]


def test_an_evening_west_of_greenwich_has_its_local_day(shop: ShopFixture) -> None:
    shop.describe(zoned(LOS_ANGELES))
    for day in (DAY - timedelta(days=1), DAY):
        # Local midnight is 08:00 in UTC; every 20 minutes of the local day.
        start = utc(f"{day}T08:00")
        times = [start + timedelta(minutes=20 * step) for step in range(72)]
        shop.deliver(*(record(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"P{n}") for n, at in enumerate(times)), day=day)
    cleaned = shop.run(window_days=2)
    assert [shop.outcomes(day) for day in (DAY - timedelta(days=1), DAY)] == [{"rows_in": 72, "event": 72}] * 2
    events = {row["item_id"]: row for row in shop.rows("events") if row["ds"] == DAY}
    assert (events["P0"]["ts"], events["P71"]["ts"]) == (utc("2026-11-20T08:00"), utc("2026-11-21T07:40"))
    split = shop.split(window_days=2)
    parts = shop.rows("splits")[0]
    counts = [parts[f"{part}_events"] for part in ("train", "validation", "test")]
    assert counts == [86, 29, 29]
    for manifest in (cleaned, split):
        report = gate(shop, manifest)
        assert [str(found) for found in report.findings if found.column in ("ts", "timestamps", "train_end")] == []
        assert report.passed
    assert [row["last_seen"] for row in shop.rows("items")] == [DAY] * 72


NOON = round(utc("2026-11-20T12:00").timestamp())
LISTS = f"""
[items]
path = "items.csv"
format = "csv"
where = "timestamp(told) >= timestamp_seconds({NOON})"
[items.columns]
item_id = "sku"
title = "name"
updated_at = "told"
[items.attributes]
told = "timestamp(told)"
[users]
path = "users.csv"
format = "csv"
[users.columns]
user_key = "who"
updated_at = "timestamp(told)"
[users.attributes]
name = "name"
"""


def test_times_of_catalogs_are_read_in_the_shops_zone(shop: ShopFixture) -> None:
    shop.describe(zoned(LOS_ANGELES, CLICKS + LISTS))
    # 9 o'clock in Los Angeles is 17 o'clock in UTC.
    (shop.files / "items.csv").write_text(
        "sku,name,told\nP1,new,2026-11-20 09:00:00\nP1,old,2026-11-20T12:00:00Z\nP2,early,2026-11-20 03:59:59\n"
    )
    (shop.files / "users.csv").write_text("who,name,told\nann,new,2026-11-20 09:00:00\nann,old,2026-11-20T12:00:00Z\n")
    shop.deliver("2026-11-20T09:00:00,view,P1,ann,s1,,,")
    shop.run()
    assert [(row["item_id"], row["title"], row["attributes"]) for row in shop.rows("items")] == [
        ("P1", "new", '{"told":"2026-11-20 09:00:00"}')
    ]
    assert [row["attributes"] for row in shop.rows("users")] == ['{"name":"new"}']
    assert shop.catalog_outcomes() == {
        "items_in": 2,
        "items_accepted": 1,
        "items_quarantine": 1,
        "users_in": 2,
        "users_accepted": 1,
        "users_quarantine": 1,
    }


def test_an_event_of_the_wrong_local_day_closes_the_gate(shop: ShopFixture) -> None:
    shop.describe(zoned(LOS_ANGELES))
    shop.deliver(record("2026-11-20T00:00:00", "P1"), record("2026-11-20T23:59:59", "P2"))
    manifest = shop.run()
    manifest.facts["timezone"] = "Asia/Kolkata"
    assert "ts lies within the day ds" in [found.description for found in gate(shop, manifest).findings]


def test_a_day_of_25_hours_is_whole_and_one_of_23_too(shop: ShopFixture) -> None:
    shop.describe(zoned(LOS_ANGELES))
    long, short = date(2026, 11, 1), date(2026, 3, 8)
    for day, first, hours in ((long, "2026-11-01T07:00", 25), (short, "2026-03-08T08:00", 23)):
        times = [utc(first) + timedelta(minutes=59) + hour * timedelta(hours=1) for hour in range(hours)]
        shop.deliver(*(record(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"P{n}") for n, at in enumerate(times)), day=day)
        shop.run(day)
        assert shop.outcomes(day) == {"rows_in": hours, "event": hours}
    cut = shop.split(long)
    assert cut.facts["timezone"] == LOS_ANGELES
    parts = shop.rows("splits")[0]
    assert (parts["train_events"], parts["validation_events"], parts["test_events"]) == (15, 5, 5)


def test_parquet_times_with_and_without_a_zone(shop: ShopFixture) -> None:
    toml = CLICKS.replace(".csv", ".parquet").replace('format = "csv"', 'format = "parquet"')
    toml = toml.replace('ts = "time"', 'ts = "coalesce(at, wall, day)"')
    shop.describe(zoned("Asia/Kolkata", toml))
    wall = datetime(2026, 11, 20, 0, 10)
    columns = {
        "at": pa.array([utc("2026-11-19T18:30"), None, None], pa.timestamp("us", "UTC")),
        "wall": pa.array([None, wall, None], pa.timestamp("us")),
        "day": pa.array([None, None, DAY], pa.date32()),
    }
    columns |= {name: pa.array([f"P{n}" for n in range(3)]) for name in ("item", "who", "visit")}
    columns |= {"kind": pa.array(["view"] * 3)} | dict.fromkeys(("price", "units", "words"), pa.nulls(3, pa.string()))
    pq.write_table(pa.table(columns), Path(shop.files) / f"events-{DAY}.parquet")
    shop.run()
    times = {row["item_id"]: row["ts"] for row in shop.rows("events")}
    assert times == {"P0": utc("2026-11-19T18:30"), "P1": utc("2026-11-19T18:40"), "P2": utc("2026-11-19T18:30")}
