"""Fills purchase_intent: fits on a sample of users on the driver, predicts all of them where they lie."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.models.fit_intent import FittedIntent, fit_intent
from pipeline_tasks.models.intent_model import ANY, IntentModel, read_histories
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, spark_ddl

SAMPLE: Final = 100_000
"""Users that are learned from: 17 weights need no more, and the driver holds no more."""
HISTORY: Final = ("user_key", "item_ids", "event_types", "timestamps")


def learn_intent(history: DataFrame, users: int, shelf: OfferedItems, end: int) -> FittedIntent:
    """Return the model of a night that ends at `end` (epoch microseconds), from a sample of `history`."""
    kept = history.select(*HISTORY)
    if (every := -(-users // SAMPLE)) > 1:
        kept = kept.where(F.pmod(F.xxhash64("user_key"), F.lit(every)) == 0)
    # Sorted: sums over users must not depend on the order in which partitions arrive.
    sample = kept.toArrow().sort_by("user_key")
    return fit_intent(read_histories(sample.combine_chunks(), category_places(shelf)), end)


def predict_intent(history: DataFrame, model: IntentModel, folder: str, end: int, ds: date) -> DataFrame:
    """Return the rows of purchase_intent of all users of `history`."""
    # Counting over whole blocks: one pass in place of a shuffle for each of 16 features.
    return history.select(*HISTORY).mapInArrow(_predictor(model, folder, end, ds), spark_ddl(TABLES["purchase_intent"]))


def category_places(shelf: OfferedItems) -> dict[str, int]:
    """Return item_id -> place of its category among the sorted categories; items without one are left out."""
    places = {category: place for place, category in enumerate(category_names(shelf))}
    pairs = zip(shelf.item_ids.to_pylist(), shelf.categories, strict=True)
    return {item_id: places[category] for item_id, category in pairs if category is not None}


def category_names(shelf: OfferedItems) -> list[str]:
    """Return the categories, sorted."""
    return sorted({category for category in shelf.categories if category is not None})


def _predictor(
    model: IntentModel, folder: str, end: int, ds: date
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shelf = open_offered_items(folder)
        places, names = category_places(shelf), pa.array([ANY, *category_names(shelf)], pa.string())
        for batch in batches:
            histories = read_histories(batch, places)
            overall, users, categories, probabilities = model.predict(histories, end)
            owners = np.concatenate([np.arange(len(overall)), users])
            columns = {
                "user_key": pa.array(histories.keys, pa.string()).take(owners),
                "category": names.take(np.concatenate([np.zeros(len(overall), np.int64), categories + 1])),
                "probability": np.round(np.concatenate([overall, probabilities]), 6),
                "ds": pa.repeat(pa.scalar(ds), len(owners)),
            }
            yield pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["purchase_intent"]))

    return predict
