"""The catalog of a model: every item known on the day `ds`, with its text, values and picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.data.item_values import Row, encoder_text, image_path, item_values, shared_values


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
