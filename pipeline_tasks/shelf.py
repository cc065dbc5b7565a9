"""The shelf that a night's shoppers are offered: the catalog's item vectors on file, mapped by every scoring process.

`prepare_shelf` runs once, on the driver; `open_shelf` in every process that scores. The arrays are memory-mapped, so
that all processes of a machine share one copy.
"""

import json
import shutil
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.top_k import Indices, Vectors, refuse_bad_vectors


@dataclass(frozen=True)
class Shelf:
    """n items in a fixed order; an item's index is its place here."""

    item_ids: pa.Array
    titles: list[str | None]
    categories: list[str | None]
    vectors: Vectors
    """(n, d): a shopper's score of an item is the dot product of their vectors."""
    content: Vectors
    """(n, c): what the items are, without how much they are in demand, at length 1: the product is the cosine."""

    def indices(self, item_ids: pa.Array) -> Indices:
        """Return the index of each id, -1 where the shelf does not hold it."""
        places = pc.fill_null(pc.index_in(item_ids, value_set=self.item_ids), -1)
        return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)


def read_meta(vectors: Path) -> dict[str, Any]:
    """Return what embed_shelf says of its vectors.

    Raises:
        FileNotFoundError: they are missing or incomplete.
    """
    path = vectors / "meta.json"
    if not path.exists():
        raise FileNotFoundError(f"No vectors of this night: {path} is missing; run embed_shelf for it first")
    meta: dict[str, Any] = json.loads(path.read_text())
    return meta


def prepare_shelf(vectors: Path, catalog: pa.Table) -> tuple[str, int]:
    """Write the shelf of the items that have a vector and are in `catalog`.

    Return its folder, a fresh one beside `vectors`, and how many vectors are left out. Earlier folders are removed;
    processes that still map them keep what they see.

    Args:
        vectors: folder written by embed_shelf.
        catalog: rows of the table `items` of the night.

    Raises:
        FileNotFoundError: there are no vectors.
        ValueError: vectors that are not finite, of another width than meta.json says, or for none of the catalog.
    """
    meta = read_meta(vectors)
    matrix = np.load(vectors / "items.npy", mmap_mode="r")
    item_ids = pq.read_table(vectors / "item_ids.parquet")["item_id"].combine_chunks()
    if matrix.shape != (len(item_ids), meta["dimension"]):
        raise ValueError(
            f"items.npy in {vectors} is {matrix.shape}, but there are {len(item_ids)} ids of width "
            f"{meta['dimension']}: run embed_shelf again"
        )
    refuse_bad_vectors("item", matrix)
    refuse_bad_users(vectors, meta["dimension"])
    places = pc.index_in(item_ids, value_set=catalog["item_id"].combine_chunks())
    kept = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
    if not len(kept):
        raise ValueError(f"none of the {len(item_ids)} embedded items is in the catalog of the night: embed it again")
    for earlier in vectors.parent.glob("shelf-*"):
        shutil.rmtree(earlier)
    # A name of its own: `open_shelf` remembers shelves by their folder.
    folder = vectors.parent / f"shelf-{uuid.uuid4().hex[:8]}"
    _write(folder, matrix[kept], item_ids.take(kept), catalog.take(places.take(kept)), meta)
    return str(folder), len(item_ids) - len(kept)


def refuse_bad_users(vectors: Path, dimension: int) -> None:
    """Raise unless every user vector is finite and `dimension` wide; reads one file at a time."""
    for path in sorted((vectors / "users").glob("*.parquet")):
        column = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
        widths = pc.unique(pc.list_value_length(column)).to_pylist()
        if widths not in ([dimension], []):
            raise ValueError(f"user vectors in {path} are {widths} wide, items {dimension}: run embed_shelf again")
        refuse_bad_vectors("user", column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension))


@lru_cache(maxsize=1)
def open_shelf(folder: str) -> Shelf:
    """Return the shelf, opened once per process."""
    items = pq.read_table(Path(folder) / "items.parquet")
    return Shelf(
        items["item_id"].combine_chunks(),
        items["title"].to_pylist(),
        items["category"].to_pylist(),
        np.load(Path(folder) / "vectors.npy", mmap_mode="r"),
        np.load(Path(folder) / "content.npy", mmap_mode="r"),
    )


def _write(folder: Path, matrix: Vectors, item_ids: pa.Array, catalog: pa.Table, meta: dict[str, Any]) -> None:
    folder.mkdir()
    np.save(folder / "vectors.npy", matrix)
    content = matrix[:, : meta.get("content_dimension", meta["dimension"])]
    lengths = np.sqrt(np.einsum("nd,nd->n", content, content, dtype=np.float64))[:, None]
    np.save(folder / "content.npy", (content / np.where(lengths > 0, lengths, 1)).astype(np.float32))
    columns = {"item_id": item_ids, "title": catalog["title"], "category": catalog["category"]}
    pq.write_table(pa.table(columns), folder / "items.parquet")
