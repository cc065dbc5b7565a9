from datetime import date

import pyarrow as pa

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.item_catalog import build_catalog, describe_item
from pipeline_tasks.schemas import arrow_schema

DS = date(2026, 11, 20)


def test_an_item_is_described_by_what_the_shop_says_of_it() -> None:
    row: dict[str, object] = {
        "title": "Rose",
        "category": "Garden > Plants",
        "brand": "Flora",
        "attributes": '{"color": "red", "height": 3}',
    }
    assert describe_item(row) == "Rose. Garden > Plants. Flora. color: red. height: 3"
    assert describe_item({"title": None, "category": None, "brand": None, "attributes": None}) == ""


def test_items_of_the_log_join_those_of_the_catalog() -> None:
    item = {"item_id": "b", "title": "Rose", "first_seen": DS, "ds": DS}
    bare = {"item_id": "a", "first_seen": DS, "ds": DS}
    sequence = {
        "sequence_key": "u",
        "item_ids": ["c", "a"],
        "event_types": ["view"] * 2,
        "timestamps": [1, 2],
        "ds": DS,
    }
    catalog = build_catalog(
        pa.Table.from_pylist([item, bare], schema=arrow_schema(TABLES["items"])),
        pa.Table.from_pylist([sequence], schema=arrow_schema(TABLES["sequences"])),
    )
    assert catalog.item_ids == ["a", "b", "c"]
    assert catalog.texts == ["a", "Rose", "c"]
