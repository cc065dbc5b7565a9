"""Run dates follow the source's time zone; a future date is refused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import settings
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import (
    FutureDateError,
    SourceError,
    checked_run_key,
    load_source,
    register_source,
    yesterday_run_key,
)
from pipeline_tasks.times import today

EAST, WEST = "Pacific/Kiritimati", "Pacific/Pago_Pago"
SHOP = """
name = "shop"
timezone = "{}"
[events]
path = "events-{{ds}}.csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield
    settings.cache_clear()


def shop_in(zone: str, folder: Path) -> str:
    path = folder / "shop.toml"
    path.write_text(SHOP.format(zone))
    return register_source(path).name


@pytest.mark.parametrize("zone", [EAST, WEST])
def test_a_day_that_has_not_begun_in_the_shops_zone_is_refused(zone: str, tmp_path: Path) -> None:
    name, now = shop_in(zone, tmp_path), today(zone)
    assert checked_run_key(name, now) == RunKey(name, now)
    with pytest.raises(FutureDateError) as failed:
        checked_run_key(name, now + timedelta(days=2))
    message = str(failed.value)
    assert f"{now + timedelta(days=2)} of shop is later than today" in message
    assert f"({zone})" in message
    assert "set NIGHTSHELF_ALLOW_FUTURE_DATES=true" in message


def test_a_simulation_may_run_future_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_ALLOW_FUTURE_DATES", "true")
    settings.cache_clear()
    assert checked_run_key("simulated_shop", date(2099, 1, 1)).ds == date(2099, 1, 1)


@pytest.mark.parametrize(("zone", "day"), [(EAST, 20), (WEST, 18)])
def test_the_default_day_is_yesterday_in_the_shops_zone(zone: str, day: int, tmp_path: Path) -> None:
    name = shop_in(zone, tmp_path)
    at = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    assert yesterday_run_key(name, at).ds == date(2026, 11, day)
    assert yesterday_run_key("simulated_shop", at).ds == date(2026, 11, 19)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("America/Los_Angels", "did you mean America/Los_Angeles"),
        ("PST", "is not a time zone"),
        ("UTC+2", "is not a time zone"),
        ("", "write a name such as Europe/Berlin"),
    ],
)
def test_a_name_that_is_no_zone_is_refused_with_the_nearest(name: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=meant) as failed:
        shop_in(name, tmp_path)
    assert str(failed.value).startswith(f"{tmp_path}/shop.toml: timezone: ")


def test_a_source_without_a_zone_counts_in_utc() -> None:
    assert load_source("simulated_shop").timezone is None
