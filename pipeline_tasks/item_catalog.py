"""The catalog as the model sees it: every item that is known by `ds`, with the text that describes it."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class ItemCatalog:
    """Items in ascending order of id; an item's index is its place here."""

    item_ids: list[str]
    texts: list[str]
    """Title, category path, brand and attributes in words; the id itself where the shop gives none of them."""

    def __len__(self) -> int:
        return len(self.item_ids)


def build_catalog(items: pa.Table, sequences: pa.Table) -> ItemCatalog:
    """Return the items of the table `items` (one `ds`) together with those that only `sequences` names."""
    seen = pc.unique(pc.list_flatten(sequences["item_ids"]))
    texts = {item_id: item_id for item_id in seen.to_pylist() if item_id is not None}
    for row in items.to_pylist():
        texts[row["item_id"]] = describe_item(row) or row["item_id"]
    ids = sorted(texts)
    return ItemCatalog(ids, [texts[item_id] for item_id in ids])


def describe_item(row: dict[str, object]) -> str:
    """Return "{title}. {category path}. {brand}. {attributes}" of a row of `items`, parts that are NULL left out."""
    attributes = json.loads(str(row["attributes"])) if row.get("attributes") else {}
    words = [f"{name}: {value}" for name, value in attributes.items() if isinstance(value, str | int | float)]
    parts = [str(row[name]).strip() for name in ("title", "category", "brand") if row.get(name)]
    return ". ".join([*parts, *words])
