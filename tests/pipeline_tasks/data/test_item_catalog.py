from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_tasks.data.item_catalog import ItemCatalog, build_catalog, load_catalog, save_catalog
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

DS = date(2026, 11, 20)


def test_catalog_has_the_items_of_both_tables() -> None:
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
    assert catalog.texts == ["", "Rose", ""], "an id is no description"
    assert catalog.values == [(), (), ()]


def test_a_saved_catalog_loads_unchanged(tmp_path: Path) -> None:
    catalog = ItemCatalog(["a", "b"], ["", "مصباح 🪴"], [(), ("color=red", "size=m")], [None, "b.png"])
    save_catalog(catalog, np.array([-1, 0]), tmp_path / "items.parquet")
    again, id_rows = load_catalog(tmp_path / "items.parquet")
    assert again == catalog
    assert id_rows.tolist() == [-1, 0]
