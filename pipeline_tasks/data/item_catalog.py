"""The catalog of a model: every item known on the day `ds`, with its text, values and picture."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.interactions import Integers

IMAGE: Final = "image"
"""The attribute with the path or URI of an item's picture. It counts neither as a value nor as text."""
_LEVEL: Final = " > "

Row = Mapping[str, Any]


def item_values(row: Row) -> tuple[str, ...]:
    """Return "name=value" for every category level, the brand, the price and each attribute.

    A list gives one value for each element. Prices are rounded to the nearest 2^(n/2) (within a factor of 1.19), so
    that prices which a user would call the same share a value.
    """
    levels = [level.strip() for level in str(row.get("category") or "").split(_LEVEL) if level.strip()]
    values = [f"category={_LEVEL.join(levels[: depth + 1])}" for depth in range(len(levels))]
    values += [f"brand={row['brand']}"] if row.get("brand") else []
    price = row.get("price")
    values += [f"price=2^{round(2 * math.log2(price)) / 2:g}"] if price and price > 0 else []
    values += [f"{name}={value}" for name, value in _attributes(row)]
    return tuple(dict.fromkeys(value.casefold() for value in values))


def shared_values(items: Iterable[Iterable[str]]) -> set[str]:
    """Return the values that at least two items have. A value of one item alone identifies it and cannot be learned."""
    counts = Counter(value for values in items for value in values)
    return {value for value, count in counts.items() if count > 1}


def describe_item(row: Row) -> str:
    """Return the full description: "{title}. {category path}. {brand}. {attributes}", without NULLs."""
    return _joined(row, _attributes(row))


def encoder_text(row: Row, shared: set[str]) -> str:
    """Return the text for a text encoder: `describe_item` without identifiers and bare numbers.

    An attribute's value counts when it holds a letter, and either several items share it or it has several words.
    Amazon's untitled items ("asin: B0048KGFHU", "attributes: 317, 2, 3") therefore have no text.
    """
    readable = [
        (name, value)
        for name, value in _attributes(row)
        if any(map(str.isalpha, value)) and (" " in value or f"{name}={value}".casefold() in shared)
    ]
    return _joined(row, readable)


def image_path(row: Row) -> str | None:
    """Return the path or URI of the item's picture, None without one."""
    given = json.loads(row["attributes"]).get(IMAGE) if row.get("attributes") else None
    return str(given) if given else None


def _joined(row: Row, attributes: Iterable[tuple[str, str]]) -> str:
    named: dict[str, list[str]] = {}
    for name, value in attributes:
        named.setdefault(name, []).append(value)
    parts = [str(row[name]).strip() for name in ("title", "category", "brand") if row.get(name)]
    return ". ".join([*parts, *(f"{name}: {', '.join(values)}" for name, values in named.items())])


def _attributes(row: Row) -> Iterator[tuple[str, str]]:
    attributes = json.loads(row["attributes"]) if row.get("attributes") else {}
    for name, given in attributes.items():
        for value in given if isinstance(given, list) else [given]:
            if name != IMAGE and isinstance(value, str | int | float) and str(value).strip():
                yield name, str(value).strip()


@dataclass(frozen=True)
class ItemCatalog:
    """Items in ascending order of id. Arrays elsewhere refer to an item by its index here."""

    item_ids: list[str]
    texts: list[str]
    """Title, category path, brand and attributes as one text; empty where the shop gives none of them."""
    values: list[tuple[str, ...]]
    """Structured values of each item (see `item_values`)."""
    images: list[str | None]
    """Path or URI of each item's picture."""

    def __len__(self) -> int:
        return len(self.item_ids)


def build_catalog(items: pa.Table, sequences: pa.Table) -> ItemCatalog:
    """Return the items of the table `items` (one `ds`) and those that appear only in `sequences`."""
    seen = pc.unique(pc.list_flatten(sequences["item_ids"]))
    return make_catalog(items.to_pylist(), [item_id for item_id in seen.to_pylist() if item_id is not None])


def make_catalog(rows: Sequence[Row], seen: Sequence[str]) -> ItemCatalog:
    """Return the catalog of rows of the table `items` and of the ids `seen`, which may lack a row."""
    described: dict[str, Row] = {item_id: {} for item_id in seen} | {row["item_id"]: row for row in rows}
    ids = sorted(described)
    values = [item_values(described[item_id]) for item_id in ids]
    shared = shared_values(values)
    texts = [encoder_text(described[item_id], shared) for item_id in ids]
    return ItemCatalog(ids, texts, values, [image_path(described[item_id]) for item_id in ids])


def save_catalog(catalog: ItemCatalog, id_rows: Integers, path: Path) -> None:
    """Write one Parquet file: item_id, text, values, image, and each item's row in the model's id table (-1: none)."""
    values = pa.array([list(own) for own in catalog.values], pa.list_(pa.string()))
    images = pa.array(catalog.images, pa.string())
    columns = {"item_id": catalog.item_ids, "text": catalog.texts, "values": values, "image": images}
    pq.write_table(pa.table({**columns, "id_row": id_rows}), path)


def load_catalog(path: Path) -> tuple[ItemCatalog, Integers]:
    """Return the catalog and the id rows that `save_catalog` wrote."""
    table = pq.read_table(path)
    ids, texts, values, images = (table[name].to_pylist() for name in ("item_id", "text", "values", "image"))
    catalog = ItemCatalog(ids, texts, [tuple(own) for own in values], images)
    return catalog, table["id_row"].to_numpy().astype("int64")
