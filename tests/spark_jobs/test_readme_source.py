"""The documented example of a shop's TOML file, on files of that format."""

import re
import tomllib

import pytest

from pipeline_tasks.config.settings import REPOSITORY
from tests.documented import shown_blocks
from tests.spark_jobs.one_shop import ShopFixture

GUIDE = REPOSITORY / "docs" / "guides" / "own-log.md"

ORDERS = """order_time,sku,customer,order_no,unit_price,units
2026-11-20 09:00:00,tea,ann,1,2.50,3
2026-11-20 09:05:00,mug,ann,1,7.00,1
2026-11-20 10:00:00,tea,bob,2,free,1
"""
CATALOG = "sku,name,department\ntea,Green tea,Drinks\nmug,Blue mug,Kitchen\n"


def test_the_readme_shows_a_part_of_the_guides_example() -> None:
    [short] = map(tomllib.loads, shown_blocks(REPOSITORY / "README.md", "toml"))
    whole = tomllib.loads(shown_blocks(GUIDE, "toml")[0])
    assert short.pop("events").pop("columns").items() <= whole["events"]["columns"].items()
    assert short.items() <= whole.items()


@pytest.mark.spark
def test_the_example_turns_a_shops_files_into_tables(shop: ShopFixture) -> None:
    toml = shown_blocks(GUIDE, "toml")[0]
    (shop.files / "orders-2026-11-20.csv").write_text(ORDERS)
    (shop.files / "catalog.csv").write_text(CATALOG)
    shop.describe(re.sub(r'(?m)^path = "/data/corner_shop".*$', 'path = "."', toml)).run()
    events = [(row["user_key"], row["item_id"], row["quantity"]) for row in shop.rows("events")]
    assert sorted(events) == [("ann", "mug", 1.0), ("ann", "tea", 3.0)]
    [refused] = shop.rows("quarantine")
    assert (refused["rule"], refused["detail"]) == ("unparsable_number", "price")
    assert "free" in refused["raw"]
    assert {row["title"] for row in shop.rows("items")} == {"Green tea", "Blue mug"}
