"""Items that the shop removed from its catalog stay in `items` during the window, and are not recommended."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.cleaning.incremental_dimensions import IncrementalDimensions
from spark_jobs.recommend_items import build
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.one_shop import CATALOG, CLICKS, DAY, ShopFixture
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, SCORING, item, rows_of, write

FIRST, SECOND = DAY - timedelta(days=2), DAY - timedelta(days=1)
WINDOW = 2


def run_shop(shop: ShopFixture, ds: date, catalog: list[str], traded: list[str]) -> dict[str, dict[str, Any]]:
    """Run one day and return its items."""
    (shop.files / "items.csv").write_text(
        "\n".join(["sku,name,price,size,color", *(f"{line}," for line in catalog)]) + "\n"
    )
    shop.deliver(*(f"{ds}T09:00:00Z,view,{name},ann,s1,9.00,," for name in traded), day=ds)
    shop.run(ds, WINDOW)
    return items_of(shop, ds)


def items_of(shop: ShopFixture, ds: date) -> dict[str, dict[str, Any]]:
    return {row["item_id"]: row for row in shop.rows("items") if row["ds"] == ds}


def write_old_run(shop: ShopFixture, ds: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write `items` as it was before it had the column `listed`."""
    columns = tuple(column for column in TABLES["items"].columns if column.name != "listed")
    with monkeypatch.context() as earlier:
        earlier.setitem(TABLES, "items", replace(TABLES["items"], columns=columns))
        row = {"item_id": "old", "title": "Kettle", "first_seen": ds, "ds": ds}
        rows = pa.Table.from_pylist([row], schema=arrow_schema(TABLES["items"]))
        shop.lake.commit("items", [ds], shop.lake.write_arrow("items", rows))


def test_a_delisted_item_keeps_its_last_description(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.describe(CLICKS + CATALOG)
    write_old_run(shop, FIRST - timedelta(days=1), monkeypatch)
    pot, cup = "pot,Tea pot,5,big", "cup,Cup,4,small"
    first = run_shop(shop, FIRST, [pot, cup, "pan,Pan,8,"], ["pot", "cup", "wild", "old"])
    listed = {name: row["listed"] for name, row in first.items()}
    assert listed == {"pot": True, "cup": True, "pan": True, "wild": None, "old": None}

    second = run_shop(shop, SECOND, ["pot,Teapot,6,big"], ["pot"])
    assert {name: row["listed"] for name, row in second.items()} == {
        "pot": True,
        "cup": False,
        "wild": None,
        "old": None,
    }, "the window has nothing about the pan"
    described = [
        {name: row[name] for name in ("title", "price", "attributes", "last_price")} for row in (second["cup"],)
    ]
    assert described == [{"title": "Cup", "price": 4.0, "attributes": '{"size":"small"}', "last_price": 9.0}]
    with monkeypatch.context() as anew:
        anew.setattr(IncrementalDimensions, "resume", lambda dimensions, *_: dimensions)
        assert shop.clean(SECOND, WINDOW).facts["continued_from"] == ""
    assert items_of(shop, SECOND) == second

    third = run_shop(shop, DAY, [pot, "cup,New cup,,"], ["cup", "pot"])
    back = third["cup"]
    assert (back["listed"], back["title"], back["price"], back["attributes"]) == (True, "New cup", 9.0, None)


def test_a_catalog_that_lists_nothing_is_one_clear_error(shop: ShopFixture) -> None:
    shop.describe(CLICKS + CATALOG.replace('title = "name"\n', ""))
    run_shop(shop, SECOND, ["pot,,5,"], ["pot"])
    with pytest.raises(ValueError, match=r"The catalog of clicks lists no item in any record landed in .*: nothing"):
        run_shop(shop, DAY, [], ["pot"])


@pytest.fixture
def manifest(spark: SparkSession, home: Settings) -> Manifest:
    """The small run without two of its best items, i05 and i07."""
    gone = {"i05": False, "i07": False, "i00": None}
    rows = [item(name, number) | {"listed": gone.get(name, True)} for number, name in enumerate(ITEMS)]
    write(Lake.open(home, RUN_KEY.source), "items", rows)
    return build(spark, RUN_KEY, SCORING)


def test_delisted_items_are_not_recommended(spark: SparkSession, home: Settings, manifest: Manifest) -> None:
    assert (manifest.facts["items_delisted"], manifest.facts["shown_items"]) == ("2", "10")
    shown = {
        name: {row[column] for row in rows_of(manifest, name)}
        for name, column in {
            "recommendations": "item_id",
            "fallback_recommendations": "item_id",
            "similar_items": "similar_item_id",
            "next_items": "next_item_id",
            "search_results": "item_id",
            "audiences": "target",
        }.items()
    }
    assert all(items and not items & {"i05", "i07"} for items in shown.values()), shown
    assert "i00" in shown["fallback_recommendations"], "no catalog ever listed it"
    # What a page of the old item may still ask for.
    for beside in ("similar_items", "next_items"):
        assert {row["item_id"] for row in rows_of(manifest, beside)} == set(ITEMS)
    write_manifest(home, manifest)
    report = validate_step(spark, home, RUN_KEY, "recommend")
    assert report.passed, report.findings
