"""Ratings are carried from the shop's file into `events`, also in a lake without that column."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.tables.contracts import TABLES
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

RATED = CLICKS + 'rating = "stars"\n'
STARS = HEADER + ",stars"
BEFORE = date(2026, 11, 19)


def test_a_rating_is_a_number_on_the_shops_scale(shop: ShopFixture) -> None:
    shop.describe(RATED)
    shop.deliver(
        "2026-11-20T09:00:00Z,rating,P1,ann,s1,,,,4.5",
        "2026-11-20T09:01:00Z,rating,P2,ann,s1,,,,-10",
        "2026-11-20T09:02:00Z,purchase,P3,ann,s1,,,,0",
        "2026-11-20T09:03:00Z,view,P4,ann,s1,,,,",
        "2026-11-20T09:04:00Z,rating,P5,ann,s1,,,,n/a",
        header=STARS,
    )
    shop.run()
    found = {row["item_id"]: row["rating"] for row in shop.rows("events")}
    assert found == {"P1": 4.5, "P2": -10.0, "P3": 0.0, "P4": None, "P5": None}


def test_a_rating_that_is_not_finite_is_rejected(shop: ShopFixture) -> None:
    shop.describe(RATED)
    faults = {"five": "unparsable_number", "Infinity": "impossible_number", "NaN": "impossible_number"}
    lines = [f"2026-11-20T09:00:00Z,rating,cup {stars},ann,s1,,,,{stars}" for stars in faults]
    priced = [f"2026-11-20T09:00:00Z,view,price {value},ann,s1,{value},,," for value in faults]
    shop.deliver("2026-11-20T09:00:00Z,rating,P1,ann,s1,,,,5", *lines, *priced, header=STARS)
    shop.run()
    assert [row["item_id"] for row in shop.rows("events")] == ["P1"]
    refused = [(row["rule"], row["detail"]) for row in shop.rows("quarantine")]
    assert sorted(rule for rule, _ in refused) == sorted([*faults.values()] * 2)
    assert {detail for _, detail in refused} >= {"rating", "rating=Infinity", "rating=NaN"}


def test_a_lake_without_the_rating_column_is_upgraded(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.describe()
    shop.deliver("2026-11-19T09:00:00Z,rating,P1,ann,s1,,,,2", day=BEFORE, header=STARS)
    shop.deliver("2026-11-20T09:00:00Z,rating,P2,ann,s1,,,,5", header=STARS)
    columns = tuple(column for column in TABLES["events"].columns if column.name != "rating")
    with monkeypatch.context() as earlier:
        earlier.setitem(TABLES, "events", replace(TABLES["events"], columns=columns))
        shop.run(BEFORE, window_days=2)
    kept = shop.lake.files("events")
    assert shop.run(window_days=2).tables["events"].days == [DAY], "the day before is as it was"
    assert {row["item_id"]: row["rating"] for row in shop.rows("events")} == {"P1": None, "P2": None}
    assert set(kept) < set(shop.lake.files("events"))
    shop.describe(RATED)
    assert shop.run(window_days=2).tables["events"].days == [BEFORE, DAY], "a new mapping cleans all days again"
    assert {row["item_id"]: row["rating"] for row in shop.rows("events")} == {"P1": 2.0, "P2": 5.0}


def test_movielens_as_published_has_ratings(shop: ShopFixture, tmp_path: Path) -> None:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("1::1193::5::978300760\n1::661::3::978302109\n2::1193::2::978302174\n")
    (folder / "movies.dat").write_text("1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n661::James::Animation\n")
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    shop.preset("movielens_ratings", folder)
    shop.run(date(2000, 12, 31))
    found = {(row["user_key"], row["item_id"]): row["rating"] for row in shop.rows("events")}
    assert found == {("1", "1193"): 5.0, ("1", "661"): 3.0, ("2", "1193"): 2.0}
