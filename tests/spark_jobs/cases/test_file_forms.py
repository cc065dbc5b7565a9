"""Files as pandas, Excel and people write them: types that differ by day, blanks in names, decimal commas."""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.cases.case_run import balanced, events_by_day, land_and_clean, refused
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

# Parquet: a column of ids is int64 on days without a gap, float64 on days with one, null on days without any
# (NVIDIA-Merlin/NVTabular#429, apache/spark#40810).
PANDAS = """
name = "parquet_null_days"
[events]
path = "events-{ds}.parquet"
format = "parquet"
[events.columns]
ts = "event_time"
event_type = "event"
item_id = "sku"
user_key = "customer_id"
session_id = "session"
price = "price"
"""
GUESTS = {2, 5, 9, 12, 15, 18}


def write_day(folder: Path, number: int, guests: bool, coupons: bool) -> None:
    start = datetime(2026, 11, 18 + number, 9)
    rows = range(20)
    customers = [1001 + (n + number) % 8 for n in rows]
    with_guests = pa.array([None if n in GUESTS else float(customers[n]) for n in rows], pa.float64())
    columns = {
        "event_time": pa.array([start + timedelta(minutes=7 * n) for n in rows], pa.timestamp("us")),
        "event": [["view", "view", "cart", "purchase"][n % 4] for n in rows],
        "sku": [f"SKU{(n * 3 + number) % 12:03d}" for n in rows],
        "customer_id": with_guests if guests else pa.array(customers, pa.int64()),
        "session": [f"v{number}{n // 4}" for n in rows],
        "price": pa.array([4.5 + n for n in rows], pa.float64()),
        "coupon": pa.array(["SPRING" if n % 5 == 0 else None for n in rows]) if coupons else pa.nulls(20),
    }
    pq.write_table(pa.table(columns), folder / f"events-2026-11-{18 + number}.parquet")


def deliver_pandas(shop: ShopFixture, null_coupons: bool) -> None:
    shop.describe(PANDAS)
    for number in range(3):
        guests = number == 1 and not null_coupons
        write_day(shop.files, number, guests, coupons=not (null_coupons and number == 2))


def assert_pandas_whole(shop: ShopFixture, null_coupons: bool) -> None:
    assert balanced(shop) == {"rows_in": 60, "event": 60}
    newest = max(row["ds"] for row in shop.rows("users", "ds"))
    assert {row["user_key"] for row in shop.rows("users") if row["ds"] == newest} == {f"{1001 + n}" for n in range(8)}
    guests = Counter(row["ds"].day for row in shop.rows("events") if row["user_key"] is None)
    assert guests == ({} if null_coupons else {19: 6})


@pytest.mark.parametrize("null_coupons", [False, True])
def test_a_column_may_change_its_type_between_files(shop: ShopFixture, null_coupons: bool) -> None:
    deliver_pandas(shop, null_coupons)
    land_and_clean(shop)
    assert_pandas_whole(shop, null_coupons)


@pytest.mark.parametrize("null_coupons", [False, True])
def test_a_column_may_change_its_type_between_runs(shop: ShopFixture, null_coupons: bool) -> None:
    deliver_pandas(shop, null_coupons)
    for day in (18, 19):
        shop.run(date(2026, 11, day), 0)
    land_and_clean(shop)
    assert_pandas_whole(shop, null_coupons)
    land_and_clean(shop, rules="exact_duplicates")
    assert_pandas_whole(shop, null_coupons)


# Names: Spark gives a path back URL-encoded, and takes brackets for a pattern (apache/spark#40947).
NAMED = """
name = "named_files"
[events]
path = "{path}"
format = "csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "customer"
session_id = "order"
price = "price"
quantity = "units"
"""


def named_lines(day: int) -> str:
    """Return ten good rows of a day, one of the evening before, and one whose price is no number."""
    at = f"2026-11-{day}T"
    rows = [
        f"{at}{9 + n // 2:02d}:{n % 2 * 30:02d}:00Z,purchase,P{n % 5},c{n % 4},o{day}{n // 2},{3 + n}.50,1"
        for n in range(10)
    ]
    rows.append(f"2026-11-{day - 1}T23:50:00Z,purchase,P9,c3,o{day}late,9.00,1")
    rows.append(f"{at}20:00:00Z,purchase,P1,c1,o{day}bad,cheap,1")
    return "\n".join(["time,kind,item,customer,order,price,units", *rows]) + "\n"


@pytest.mark.parametrize(
    "name",
    [
        "Bestellungen Webshop {ds}.csv",
        "订单-{ds}.csv",
        "export [shop 1] {ds}.csv",
        "100%20 #1 'a+b' {ds}?.csv",
    ],
)
def test_a_file_may_have_any_name(shop: ShopFixture, name: str) -> None:
    shop.describe(NAMED.replace("{path}", name))
    files = {str(shop.files / name.replace("{ds}", f"2026-11-{day}")) for day in (19, 20)}
    for day in (19, 20):
        (shop.files / name.replace("{ds}", f"2026-11-{day}")).write_text(named_lines(day), encoding="utf-8")
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 24, "event": 22, "unparsable_number": 2}
    assert events_by_day(shop) == {"11-18": 1, "11-19": 11, "11-20": 10}
    assert Counter(row["arrived"].day for row in shop.rows("events")) == {19: 11, 20: 11}
    assert {row["source_file"] for row in shop.rows("quarantine")} == files


# Excel: a byte order mark, `sep=;` as the first line, decimal commas, dots between thousands, a total
# (woocommerce/woocommerce#18100, #33481).
PRICES = ["12,50\u00a0€", "1.234,56", "1.234", "0,99", "2.499,00\u00a0€", "7"]
UNITS = ["1", "2", "0,750", "1,250", "3"]
HEAD = ["Datum", "Bestellnr", "Kunde", "Artikel", "Bezeichnung", "Menge", "Einzelpreis", "Gesamt"]
EXCEL = """
name = "german_excel"
[events]
path = "Bestellungen.csv"
format = "csv"
options = { sep = ";" }
[events.columns]
ts = "to_timestamp(Datum, 'dd.MM.yyyy HH:mm')"
event_type = "CASE WHEN Menge LIKE '-%' THEN 'cancellation' ELSE 'purchase' END"
item_id = "Artikel"
user_key = "Kunde"
session_id = "Bestellnr"
price = "Einzelpreis"
quantity = "Menge"
"""
EXCEL_FIELDS = f"""
fields = {HEAD}
where = "Datum RLIKE '^[0-9]{{2}}[.][0-9]{{2}}[.][0-9]{{4}}'"
[events.columns]"""
EXCEL_ITEMS = """
[items]
where = "Datum RLIKE '^[0-9]{2}[.]'"
[items.columns]
item_id = "Artikel"
title = "Bezeichnung"
"""


def deliver_excel(shop: ShopFixture) -> None:
    """Write a mark, `sep=;`, a header, fifty orders (three of them cancelled) and a total."""
    lines = []
    for n in range(50):
        price, units = PRICES[n % 6], "-1" if n in (17, 29, 41) else UNITS[n % 5]
        day = 10 + n * 10 // 49
        what = f"K-{n % 8:03d};{100 + n % 9:05d};Teller, groß {n % 9}"
        lines.append(f"{day:02d}.11.2026 {8 + n % 12:02d}:{n:02d};B{2000 + n // 2};{what};{units};{price};{price}")
    text = "\r\n".join(["\ufeffsep=;", ";".join(HEAD), *lines, ";;;;Summe;;;12.345,67"]) + "\r\n"
    (shop.files / "Bestellungen.csv").write_bytes(text.encode())


def test_an_excel_export_is_read_by_fields_and_where(shop: ShopFixture, capsys: pytest.CaptureFixture[str]) -> None:
    toml = EXCEL.replace(
        '"Einzelpreis"', r'''"replace(replace(regexp_replace(Einzelpreis, '[^0-9.,-]', ''), '.', ''), ',', '.')"'''
    )
    toml = toml.replace('"Menge"', r'''"replace(replace(Menge, '.', ''), ',', '.')"''')
    shop.describe(toml.replace("\n[events.columns]", EXCEL_FIELDS) + EXCEL_ITEMS)
    deliver_excel(shop)
    land_and_clean(shop)
    assert "'rows_read': 53, 'left_out_by_where': 2" in capsys.readouterr().out
    outcomes = balanced(shop)
    assert outcomes["event"] == 50
    assert outcomes["rows_in"] - 50 == outcomes.get("corrupt_record", 0) <= 1
    events = shop.rows("events")
    assert Counter(row["event_type"] for row in events) == {"purchase": 47, "cancellation": 3}
    assert sum(row["price"] for row in events) == pytest.approx(41_151.46)
    turnover = sum(row["price"] * row["quantity"] for row in events if row["event_type"] == "purchase")
    assert turnover == pytest.approx(69_764.0175)
    assert {row["title"] for row in shop.rows("items")} == {f"Teller, groß {n}" for n in range(9)}


def test_a_first_line_that_is_no_header_is_shown_in_the_error(shop: ShopFixture) -> None:
    shop.describe(EXCEL)
    deliver_excel(shop)
    with pytest.raises(SourceError) as failed:
        land_and_clean(shop)
    message = str(failed.value)
    assert "sep=" in message
    assert "first line" in message
    assert "\n" not in message


def test_numbers_with_an_undeclared_decimal_comma_are_rejected(shop: ShopFixture) -> None:
    shop.describe(EXCEL.replace("\n[events.columns]", EXCEL_FIELDS) + EXCEL_ITEMS)
    deliver_excel(shop)
    shop.run(window_days=0)
    outcomes = balanced(shop)
    with_comma = sum("," in PRICES[n % 6] for n in range(50))
    assert with_comma == 34
    assert outcomes["unparsable_number"] >= with_comma
    events = shop.rows("events")
    assert outcomes["event"] == len(events) > 0
    assert {row["price"] for row in events} <= {1.234, 7.0}
    assert {row["quantity"] for row in events} <= {1.0, 2.0, 3.0}, "neither is 0,750 750, nor 1,250 1250"


def test_a_decimal_comma_can_be_declared(shop: ShopFixture) -> None:
    toml = EXCEL.replace("\n[events]", '\ndecimal = ","\n[events]')
    shop.describe(toml.replace("\n[events.columns]", EXCEL_FIELDS) + EXCEL_ITEMS)
    deliver_excel(shop)
    land_and_clean(shop)
    events = shop.rows("events")
    assert refused(shop).get("unparsable_number", 0) == 0
    assert sum(row["price"] for row in events) == pytest.approx(41_151.46)
