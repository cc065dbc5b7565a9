"""Finds the nearest items of every item by the cosine of what they are."""

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from pipeline_tasks.bulk_top_k.arrays import Exclusions
from pipeline_tasks.bulk_top_k.scoring_device import scoring_on
from pipeline_tasks.bulk_top_k.top_k import top_k
from pipeline_tasks.contracts import TABLES
from pipeline_tasks.shelves.excluded_items import only
from pipeline_tasks.shelves.shelf import open_shelf
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.task_gpu import task_device


def similar_finder(
    folder: str, rows: int, block: int, model_version: str, ds: date
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`: (id: index of an item on the shelf) -> similar_items."""

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shelf, device = open_shelf(folder), task_device()
        for batch in batches:
            wanted = batch["id"].to_numpy()
            if not len(wanted):
                continue
            itself = only(Exclusions(np.arange(len(wanted) + 1), wanted), wanted < shelf.allowed)
            with scoring_on(device):
                best = top_k(shelf.content[wanted], shelf.content[: shelf.allowed], rows, itself, block)
            counts = np.diff(best.starts)
            owners = np.repeat(np.arange(len(wanted)), counts)
            columns = {
                "item_id": shelf.item_ids.take(wanted[owners]),
                "rank": (np.arange(len(owners)) - best.starts[owners] + 1).astype(np.int32),
                "similar_item_id": shelf.item_ids.take(best.items),
                "score": best.scores,
                "model_version": pa.repeat(model_version, len(owners)),
                "ds": pa.repeat(pa.scalar(ds), len(owners)),
            }
            yield pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["similar_items"]))

    return find
