"""Every preset on its real public log: land, clean, split."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.models.two_tower.item_content import fit_vocabulary
from tests.benchmarks.sequence_sets import read_amazon_sports
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = [pytest.mark.spark, pytest.mark.real_data]

PROTOCOL = "known_user,positive_quantity,positive_price,exact_duplicates"
LAST_DAY = date(2011, 12, 9)


def test_online_retail_by_the_protocol(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("online_retail", shared_data / "online-retail-uci")
    # Of a log in one file the window is all of it, with nothing set.
    assert shop.run(LAST_DAY, window_days=0, rules=PROTOCOL).facts["window_days"] == "374"
    events = shop.lake.read("events", columns=("event_type", "user_key", "item_id"))
    assert set(events["event_type"].to_pylist()) == {"purchase"}
    assert events.num_rows == 392_692
    assert len(events["user_key"].unique()) == 4_338
    assert len(events["item_id"].unique()) == 3_665
    assert len(shop.rows("items")) == 3_665
    counts = shop.outcomes()
    assert counts.pop("rows_in") == sum(counts.values()) == 541_909
    # 135,080 rows name no customer; two of them have a negative price, which is asked first.
    assert (counts["known_user"], counts["impossible_number"]) == (135_078, 2)
    shop.split(LAST_DAY, window_days=0)
    cut = shop.rows("splits")[0]
    moment = timedelta(microseconds=1)
    # The 33 lines of that minute fit better before the cut than behind it.
    assert cut["train_end"] == datetime(2011, 9, 11, 15, 41, tzinfo=UTC)
    assert cut["validation_end"] + moment == datetime(2011, 11, 1, 15, 55, tzinfo=UTC)
    shares = [round(100 * cut[f"{part}_events"] / 392_692, 2) for part in ("train", "validation", "test")]
    assert shares == [60.0, 19.99, 20.01]
    shop.clean(LAST_DAY, window_days=0)
    counts = shop.outcomes()
    assert counts.pop("rows_in") == sum(counts.values()) == 541_909
    assert counts["service_codes"] > 2_500
    assert "known_user" not in counts
    assert shop.lake.read("events", columns=("user_key",))["user_key"].null_count > 130_000
    shop.split(LAST_DAY, window_days=0)
    cut = shop.rows("splits")[0]
    assert cut["cancellations"] > 8_000
    assert 0 < cut["netted_purchases"] < cut["cancellations"]
    sequences = shop.rows("sequences", "sequence_key", "user_key")
    assert {row["sequence_key"].startswith("session:") for row in sequences if row["user_key"] is None} == {True}


def test_rees46(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("rees46", shared_data / "rees46-multicategory-sample")
    ds = date(2019, 10, 1)
    shop.run(ds)
    counts = shop.outcomes()
    assert counts.pop("rows_in") == sum(counts.values()) == 17_435
    assert counts["event"] > 17_000
    items = {row["item_id"]: row for row in shop.rows("items")}
    assert items["3900821"]["title"] == "aqua water heater"
    assert items["3900821"]["category"] == "appliances > environment > water heater"
    shop.split(ds)
    assert shop.rows("splits")[0]["test_events"] > 3_000


def test_completejourney(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("completejourney", shared_data / "completejourney")
    ds = date(2017, 12, 31)
    shop.run(ds, window_days=60)
    counts = shop.outcomes()
    assert counts.pop("rows_in") == sum(counts.values())
    assert counts["event"] > 10_000
    assert len(shop.rows("items", "item_id")) == 92_331
    attributes = [row["attributes"] for row in shop.rows("users") if row["attributes"]]
    assert any('"income":"35-49K"' in text for text in attributes)
    shop.split(ds, window_days=60)
    assert shop.rows("splits")[0]["validation_events"] > 2_000


def test_amazon_reviews(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("amazon_reviews", shared_data / "amazon-beauty-5core")
    ds = date(2014, 7, 23)
    shop.run(ds)
    assert shop.outcomes() == {"rows_in": 198_502, "event": 198_502}
    sequences = shop_sequences(shop, ds)
    assert len(sequences) == 22_363
    assert sequences["4"] == ["20", "21", "22", "23", "4", "24"]
    assert len(shop.rows("items", "item_id")) == 12_101
    split = shop.rows("splits")[0]
    assert (split["validation_events"], split["test_events"]) == (22_363, 22_363)


def test_amazon_reviews_without_titles(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("amazon_reviews_untitled", shared_data / "amazon-sports-5core")
    shop.run(date(2014, 7, 23))
    assert shop.outcomes() == {"rows_in": 296_337, "event": 296_337}
    rows = shop.rows("items")
    items = {row["item_id"]: row for row in rows}
    assert len(items) == 18_357
    assert items["1"]["title"] is None
    assert '"attributes":["1","2","3","4","5","6"]' in items["1"]["attributes"]
    # Through the chain as in the benchmark: attributes are structured values, and neither they nor the ASIN are text.
    ours, measured = make_catalog(rows, []), read_amazon_sports(shared_data).catalog
    assert ours.texts == measured.texts == [""] * 18_357
    vocabulary = fit_vocabulary(ours.values)
    assert vocabulary == fit_vocabulary(measured.values)
    np.testing.assert_array_equal(vocabulary.numbers(ours.values), vocabulary.numbers(measured.values))


def test_movielens(shop: ShopFixture, shared_data: Path) -> None:
    shop.preset("movielens", shared_data / "ml-1m")
    ds = date(2003, 2, 28)
    shop.run(ds)
    assert shop.outcomes() == {"rows_in": 999_611, "event": 999_611}
    sequences = shop_sequences(shop, ds)
    assert len(sequences) == 6_040
    assert sequences["1"][:3] == ["3186", "1270", "1721"]
    titles = {row["item_id"]: row["title"] for row in shop.rows("items", "item_id", "title")}
    assert titles["1"] == "Toy Story (1995)"


def shop_sequences(shop: ShopFixture, ds: date) -> dict[str, list[str]]:
    shop.split(ds, strategy="leave_one_out")
    return {row["user_key"]: row["item_ids"] for row in shop.rows("sequences", "user_key", "item_ids")}
