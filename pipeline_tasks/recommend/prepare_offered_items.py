"""Writes the night's shelf, once, on the driver: item vectors that may be shown, then the others, and the rules."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.excluded_items import Excluded
from pipeline_tasks.topk.arrays import Vectors
from pipeline_tasks.topk.input_checks import refuse_bad_vectors


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


def prepare_offered_items(
    vectors: Path, catalog: pa.Table, excluded: Excluded, replenishable: set[str]
) -> tuple[str, int]:
    """Write the shelf of the items that have a vector and are in `catalog`.

    Return its folder, a fresh one beside `vectors`, and how many vectors are left out. Earlier folders are removed;
    processes that still map them keep what they see.

    Args:
        vectors: folder written by embed_shelf.
        catalog: rows of the table `items` of the night.
        excluded: what the shop's rules keep off the shelf.
        replenishable: items that may be shown again as soon as they were bought.

    Raises:
        FileNotFoundError: there are no vectors.
        ValueError: vectors that are not finite, of another width than meta.json says, or for none of the catalog; or
            the rules leave nothing to show.
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
        raise ValueError(f"none of the {len(item_ids)} embedded items is in the catalog of the night: embed it again")
    hidden = pc.is_in(item_ids.take(kept), value_set=pa.array(list(excluded.items), pa.string()))
    hidden = hidden.to_numpy(zero_copy_only=False)
    if hidden.all():
        raise ValueError(f"The shelf rules exclude all {len(kept)} items of the catalog: nothing is left to show")
    # Those that may be shown come first: scoring maps a slice, not a copy.
    order = kept[np.argsort(hidden, kind="stable")]
    for earlier in vectors.parent.glob("shelf-*"):
        shutil.rmtree(earlier)
    # A name of its own: `open_offered_items` remembers shelves by their folder.
    folder = vectors.parent / f"shelf-{uuid.uuid4().hex[:8]}"
    _write(folder, matrix[order], item_ids.take(order), catalog.take(places.take(order)), meta)
    np.save(folder / "visitors.npy", visitors[order])
    embedded = np.full(len(item_ids), -1, np.int64)
    embedded[order] = np.arange(len(order))
    np.save(folder / "embedded.npy", embedded)
    _write_rules(folder, item_ids.take(order), np.sort(~hidden)[::-1], excluded, replenishable)
    return str(folder), len(item_ids) - len(kept)


def _read_matrix(path: Path, what: str, rows: int, dimension: int) -> Vectors:
    """Return the mapped array. Raises ValueError unless it is finite and (rows, dimension)."""
    if not path.exists():
        raise FileNotFoundError(f"No vectors of this night: {path} is missing; run embed_shelf for it first")
    matrix: Vectors = np.load(path, mmap_mode="r")
    if matrix.shape != (rows, dimension):
        raise ValueError(
            f"{path.name} in {path.parent} is {matrix.shape}, but there are {rows} ids of width {dimension}: run "
            "embed_shelf again"
        )
    refuse_bad_vectors(what, matrix)
    return matrix


def refuse_bad_users(vectors: Path, dimension: int) -> None:
    """Raise unless every user vector is finite and `dimension` wide; reads one file at a time."""
    for path in sorted((vectors / "users").glob("*.parquet")):
        column = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
        widths = pc.unique(pc.list_value_length(column)).to_pylist()
        if widths not in ([dimension], []):
            raise ValueError(f"user vectors in {path} are {widths} wide, items {dimension}: run embed_shelf again")
        refuse_bad_vectors("user", column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension))


def _write(folder: Path, matrix: Vectors, item_ids: pa.Array, catalog: pa.Table, meta: dict[str, Any]) -> None:
    folder.mkdir()
    np.save(folder / "vectors.npy", matrix)
    np.save(folder / "additive_weights.npy", np.array(meta.get("additive_weights", []), np.float32))
    content = matrix[:, : meta.get("content_dimension", meta["dimension"])]
    lengths = np.sqrt(np.einsum("nd,nd->n", content, content, dtype=np.float64))[:, None]
    np.save(folder / "content.npy", (content / np.where(lengths > 0, lengths, 1)).astype(np.float32))
    columns = {name: catalog[name] for name in ("title", "category", "brand", "first_seen", "ds")}
    pq.write_table(pa.table({"item_id": item_ids} | columns), folder / "items.parquet")


def _write_rules(folder: Path, item_ids: pa.Array, allowed: Flags, excluded: Excluded, replenishable: set[str]) -> None:
    """Write what the rules say of each item, in the order of the shelf, and the opt-outs; the gate reads both too."""
    again = pc.is_in(item_ids, value_set=pa.array(sorted(replenishable), pa.string()))
    columns = {"item_id": item_ids, "allowed": pa.array(allowed), "replenishable": again}
    pq.write_table(pa.table(columns), folder / "rules.parquet")
    pq.write_table(excluded.opt_outs, folder / "opt_outs.parquet")
