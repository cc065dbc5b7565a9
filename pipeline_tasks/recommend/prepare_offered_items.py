"""Writes the offered items of a day, once, on the driver: vectors, item data and the results of the shop's rules."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.interactions import Flags, Integers
from pipeline_tasks.recommend.excluded_items import Excluded
from pipeline_tasks.topk.arrays import Vectors, refuse_bad_vectors


def read_meta(vectors: Path) -> dict[str, Any]:
    """Return the meta.json of the day's vectors.

    Raises:
        FileNotFoundError: the vectors are missing or incomplete.
    """
    path = vectors / "meta.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the task embed_shelf of that day first")
    meta: dict[str, Any] = json.loads(path.read_text())
    return meta


def prepare_offered_items(
    vectors: Path, catalog: pa.Table, excluded: Excluded, replenishable: set[str]
) -> tuple[str, int]:
    """Write the items that have a vector and are in `catalog` to a new folder beside `vectors`.

    Return the folder, and the number of vectors that are left out. Earlier folders are removed; processes that still
    map their files can continue to read them.

    Args:
        vectors: the folder that the task embed_shelf wrote.
        catalog: rows of the table `items` of the day.
        excluded: the items that the shop's rules exclude.
        replenishable: items that may be shown again directly after they were bought.

    Raises:
        FileNotFoundError: there are no vectors.
        ValueError: the vectors are not finite, have another width than in meta.json, or belong to no item of the
            catalog; or the rules exclude all items.
    """
    meta = read_meta(vectors)
    item_ids = pq.read_table(vectors / "item_ids.parquet")["item_id"].combine_chunks()
    matrix, visitors = (
        _read_matrix(vectors / f"{what}s.npy", what, len(item_ids), meta["dimension"]) for what in ("item", "visitor")
    )
    refuse_bad_users(vectors, meta["dimension"])
    places = pc.index_in(item_ids, value_set=catalog["item_id"].combine_chunks())
    kept = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
    if not len(kept):
        raise ValueError(
            f"None of the {len(item_ids)} items with vectors is in the catalog: run the task embed_shelf again"
        )
    hidden = _hidden(item_ids.take(kept), excluded)
    # Items that may be shown come first, so that scoring uses a slice of the mapped vectors and not a copy.
    order = kept[np.argsort(hidden, kind="stable")]
    folder = _new_folder(vectors)
    _write(folder, matrix[order], item_ids.take(order), catalog.take(places.take(order)), meta)
    np.save(folder / "visitors.npy", visitors[order])
    np.save(folder / "embedded.npy", _places(order, len(item_ids)))
    _write_rules(folder, item_ids.take(order), np.sort(~hidden)[::-1], excluded, replenishable)
    return str(folder), len(item_ids) - len(kept)


def _hidden(item_ids: pa.Array, excluded: Excluded) -> Flags:
    """Return whether the rules exclude the item. Raises ValueError where they exclude all."""
    hidden: Flags = pc.is_in(item_ids, value_set=pa.array(list(excluded.items), pa.string())).to_numpy(
        zero_copy_only=False
    )
    if hidden.all():
        raise ValueError(f"The business rules exclude all {len(item_ids)} items of the catalog: correct the rules")
    return hidden


def _places(order: Integers, n_items: int) -> Integers:
    """Return the place of each of `n_items` items in `order`, -1 for an item that is not in it."""
    places = np.full(n_items, -1, np.int64)
    places[order] = np.arange(len(order))
    return places


def _new_folder(vectors: Path) -> Path:
    """Remove earlier folders and make one with a new name, because `open_offered_items` caches by the name."""
    for earlier in vectors.parent.glob("shelf-*"):
        shutil.rmtree(earlier)
    folder = vectors.parent / f"shelf-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def _read_matrix(path: Path, what: str, rows: int, dimension: int) -> Vectors:
    """Return the mapped array. Raises ValueError unless it is finite and (rows, dimension)."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the task embed_shelf of that day first")
    matrix: Vectors = np.load(path, mmap_mode="r")
    if matrix.shape != (rows, dimension):
        raise ValueError(
            f"{path.name} in {path.parent} is {matrix.shape}, but there are {rows} ids of width {dimension}: run "
            "the task embed_shelf again"
        )
    refuse_bad_vectors(what, matrix)
    return matrix


def refuse_bad_users(vectors: Path, dimension: int) -> None:
    """Raise ValueError unless every user vector is finite and has `dimension` numbers. Files are read one by one."""
    for path in sorted((vectors / "users").glob("*.parquet")):
        column = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
        widths = pc.unique(pc.list_value_length(column)).to_pylist()
        if widths not in ([dimension], []):
            raise ValueError(
                f"user vectors in {path} are {widths} wide, items {dimension}: run the task embed_shelf again"
            )
        refuse_bad_vectors("user", column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension))


def _write(folder: Path, matrix: Vectors, item_ids: pa.Array, catalog: pa.Table, meta: dict[str, Any]) -> None:
    np.save(folder / "vectors.npy", matrix)
    np.save(folder / "additive_weights.npy", np.array(meta.get("additive_weights", []), np.float32))
    content = matrix[:, : meta.get("content_dimension", meta["dimension"])]
    lengths = np.sqrt(np.einsum("nd,nd->n", content, content, dtype=np.float64))[:, None]
    np.save(folder / "content.npy", (content / np.where(lengths > 0, lengths, 1)).astype(np.float32))
    columns = {name: catalog[name] for name in ("title", "category", "brand", "first_seen", "ds")}
    pq.write_table(pa.table({"item_id": item_ids} | columns), folder / "items.parquet")


def _write_rules(folder: Path, item_ids: pa.Array, allowed: Flags, excluded: Excluded, replenishable: set[str]) -> None:
    """Write the results of the rules, in the order of the vectors, and the opt-outs. The gate reads both files."""
    is_replenishable = pc.is_in(item_ids, value_set=pa.array(sorted(replenishable), pa.string()))
    columns = {"item_id": item_ids, "allowed": pa.array(allowed), "replenishable": is_replenishable}
    pq.write_table(pa.table(columns), folder / "rules.parquet")
    pq.write_table(excluded.opt_outs, folder / "opt_outs.parquet")
