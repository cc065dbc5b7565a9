"""Nights whose vectors, catalog or settings do not fit: one clear error, or shelves that say what is missing."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.lake import Lake
from pipeline_tasks.night import Night
from pipeline_tasks.settings import Settings
from pipeline_tasks.staging import night_folder, publish
from pipeline_tasks.top_k import Vectors
from spark_jobs.recommend_items import build
from tests.spark_jobs.night_shelves import shelf_of, shelves_only
from tests.spark_jobs.one_night import (
    ITEMS,
    NIGHT,
    SCORING,
    item,
    item_vectors,
    rows_of,
    user_vectors,
    write,
    write_vectors,
)


@pytest.fixture(scope="module")
def published(spark: SparkSession, home: Settings) -> pa.Table:
    """The shelves that shoppers see before a bad night."""
    publish(Lake.open(home, NIGHT.source), shelves_only(spark))
    return shelves_in(home)


def shelves_in(home: Settings) -> pa.Table:
    return (
        Lake.open(home, NIGHT.source)
        .read("recommendations")
        .sort_by([("user_key", "ascending"), ("rank", "ascending")])
    )


def test_items_that_left_the_catalog_are_not_recommended(spark: SparkSession, home: Settings) -> None:
    lake = Lake.open(home, NIGHT.source)
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS) if name != "i05"])
    try:
        smaller = build(spark, NIGHT, SCORING)
    finally:
        write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])
    assert (smaller.facts["scored_items"], smaller.facts["lost_items"]) == ("11", "1")
    for table in smaller.tables:
        assert "i05" not in {
            value for row in rows_of(smaller, table) for value in row.values() if isinstance(value, str)
        }


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ({"ann": np.full(5, np.nan, np.float32)}, item_vectors(), "1 of 1 user vectors hold NaN"),
        (
            user_vectors(),
            np.where(np.eye(12, 5) > 0, np.float32(np.nan), item_vectors()),
            "5 of 12 item vectors hold NaN",
        ),
        ({"ann": np.ones(3, np.float32)}, item_vectors(), r"user vectors in .* are \[3\] wide, items 5"),
        ({"ann": np.ones(5, np.float32)}, item_vectors()[:, :4], "items.npy .* is .12, 4., .* width 5"),
    ],
)
def test_bad_vectors_end_in_one_clear_error(
    spark: SparkSession, home: Settings, published: pa.Table, users: dict[str, Vectors], items: Vectors, message: str
) -> None:
    folder = night_folder(home, NIGHT) / "vectors"
    write_vectors(folder, users, items)
    try:
        with pytest.raises(ValueError, match=message):
            build(spark, NIGHT, SCORING)
    finally:
        write_vectors(folder, user_vectors(), item_vectors())
    assert shelves_in(home) == published


def test_missing_vectors_name_the_remedy(spark: SparkSession, home: Settings, published: pa.Table) -> None:
    with pytest.raises(FileNotFoundError, match="run embed_shelf"):
        build(spark, Night("shop", date(2026, 11, 19)), SCORING)
    assert shelves_in(home) == published


def test_more_slots_than_items_give_every_item_once(spark: SparkSession, home: Settings) -> None:
    staged = shelves_only(spark, top_k=50)
    assert len(shelf_of(staged, "eve")) == len(ITEMS)
    # cleo bought everything: nobody's shelf is 50 long, hers is empty.
    assert staged.facts == {"shoppers_without_a_shelf": "1", "shoppers_with_a_shorter_shelf": "4"}
