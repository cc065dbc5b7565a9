"""A name in a mapping is a column of the files, never a function of that name (apache/spark#36497, SPARK-39138)."""

import getpass
import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.cases.case_run import balanced, land_and_clean
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

VIEWS = """
name = "user_is_a_function"
[events]
path = "views.csv"
format = "csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "user"
"""
LOG = """
name = "user_shown_late"
[events]
path = "log.jsonl.gz"
format = "json"
[events.columns]
ts = "at"
event_type = "kind"
item_id = "item"
user_key = "user"
session_id = "visit"
"""


def write_views(shop: ShopFixture) -> None:
    """Sixty views of seven customers, in a file without a column `user`."""
    rows = [f"{DAY}T{8 + n // 6:02d}:{n % 6 * 10:02d}:00Z,view,P{n % 9},c{n % 7}" for n in range(60)]
    (shop.files / "views.csv").write_text("time,kind,item,customer\n" + "\n".join(rows) + "\n")


def write_log(shop: ShopFixture) -> None:
    """More than a megabyte of anonymous lines before the first with the field `user`: 600 of 25 users."""
    start = datetime(2026, 11, 18, tzinfo=UTC)
    lines = [line(start + timedelta(seconds=20 * n), n, f"v{n // 5}") for n in range(8_500)]
    assert sum(len(json.dumps(one)) + 1 for one in lines) > 1 << 20
    late = start + timedelta(days=2)
    lines += [line(late + timedelta(minutes=n), n, f"w{n // 5}") | {"user": f"{900 + n % 25}"} for n in range(600)]
    (shop.files / "log.jsonl.gz").write_bytes(gzip.compress(("\n".join(map(json.dumps, lines)) + "\n").encode()))


def line(at: datetime, n: int, visit: str) -> dict[str, str]:
    item = f"P{n % 40:02d}"
    page = f"https://shop.example/products/{item}?ref=home"
    return {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "kind": "view", "item": item, "visit": visit, "page": page}


@pytest.mark.parametrize(
    "name",
    ["user", "session_user", "rand()", "current_database()"],
)
def test_a_function_is_no_user(shop: ShopFixture, name: str) -> None:
    shop.describe(VIEWS.replace('user_key = "user"', f'user_key = "{name}"'))
    write_views(shop)
    with pytest.raises(SourceError) as failed:
        land_and_clean(shop)
    message = str(failed.value)
    assert f"events.columns.user_key = '{name}'" in message
    assert "\n" not in message
    if name == "user":
        assert "time, kind, item, customer" in message


@pytest.mark.parametrize("name", ["current_date", "now()"])
def test_the_time_of_the_run_is_no_event_time(shop: ShopFixture, name: str) -> None:
    shop.describe(VIEWS.replace('"user"', '"customer"').replace('ts = "time"', f'ts = "{name}"'))
    write_views(shop)
    with pytest.raises(SourceError, match=r"events\.columns\.ts = "):
        land_and_clean(shop)


def test_a_column_that_is_called_like_a_function_is_a_column(shop: ShopFixture) -> None:
    shop.describe(VIEWS.replace('ts = "time"', 'ts = "current_date"'))
    write_views(shop)
    text = (shop.files / "views.csv").read_text()
    (shop.files / "views.csv").write_text(text.replace("time,kind,item,customer", "current_date,kind,item,user"))
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 60, "event": 60}
    assert {row["user_key"] for row in shop.rows("users")} == {f"c{n}" for n in range(7)}


def test_a_field_missing_in_the_first_lines_is_an_error_that_names_fields(shop: ShopFixture) -> None:
    shop.describe(LOG)
    write_log(shop)
    with pytest.raises(SourceError) as failed:
        land_and_clean(shop)
    message = str(failed.value)
    assert "events.columns.user_key = 'user'" in message
    assert "fields" in message
    assert "\n" not in message


def test_a_field_named_in_fields_is_read_from_any_line(shop: ShopFixture) -> None:
    shop.describe(LOG.replace("[events.columns]", 'fields = ["at", "kind", "item", "visit", "user"]\n[events.columns]'))
    write_log(shop)
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 9_100, "event": 9_100}
    users = {row["user_key"] for row in shop.rows("users")}
    assert users == {f"{900 + n}" for n in range(25)}
    assert getpass.getuser() not in users
    anonymous = {row["session_id"] for row in shop.rows("events") if row["user_key"] is None}
    assert len(anonymous) == 1_700
