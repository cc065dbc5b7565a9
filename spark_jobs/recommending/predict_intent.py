"""Fills purchase_intent: fits a model to a sample of users on the driver, and predicts all users on the executors."""

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
"""Most users that the model is fitted to. Its 17 weights need no more, and the driver's memory is limited."""
HISTORY: Final = ("user_key", "item_ids", "event_types", "timestamps")


def learn_intent(history: DataFrame, users: int, offered: OfferedItems, end: int) -> FittedIntent:
    """Return the model of a run that ends at `end` (epoch microseconds), fitted to a sample of `history`."""
    kept = history.select(*HISTORY)
    if (step := -(-users // SAMPLE)) > 1:
        kept = kept.where(F.pmod(F.xxhash64("user_key"), F.lit(step)) == 0)
    # Sorted, because sums over users must not depend on the order in which partitions arrive.
    sample = kept.toArrow().sort_by("user_key")
    return fit_intent(read_histories(sample.combine_chunks(), category_places(offered)), end)


def predict_intent(history: DataFrame, model: IntentModel, folder: str, end: int, ds: date) -> DataFrame:
    """Return the rows of purchase_intent of all users of `history`."""
    # Blocks are counted in one pass; Spark expressions would need a shuffle for each of 16 features.
    return history.select(*HISTORY).mapInArrow(_predictor(model, folder, end, ds), spark_ddl(TABLES["purchase_intent"]))


def category_places(offered: OfferedItems) -> dict[str, int]:
    """Return item_id -> index of its category among the sorted categories; items without one are left out."""
    places = {category: place for place, category in enumerate(category_names(offered))}
    pairs = zip(offered.item_ids.to_pylist(), offered.categories, strict=True)
    return {item_id: places[category] for item_id, category in pairs if category is not None}


def category_names(offered: OfferedItems) -> list[str]:
    """Return the categories, sorted."""
    return sorted({category for category in offered.categories if category is not None})


def _predictor(
    model: IntentModel, folder: str, end: int, ds: date
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        offered = open_offered_items(folder)
        places, names = category_places(offered), pa.array([ANY, *category_names(offered)], pa.string())
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
