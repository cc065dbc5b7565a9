"""Which of several records of one item is kept, and which are duplicates of it."""

import pytest
from pyspark.sql import SparkSession

from spark_jobs.cleaning.map_catalog import mark_repeated

pytestmark = pytest.mark.spark

RECORDS = [
    # _row, item_id, title, brand, _rule
    (1, "A", "mug", None, None),
    (2, "A", None, "mug", None),
    (3, "A", "mug", None, None),
    (4, "A", None, None, None),
    (5, "B", "pen", None, None),
    (6, None, "pen", None, "missing_item"),
    (7, None, "pen", None, "missing_item"),
    (8, "B", "pen", None, "corrupt_record"),
]


def test_a_further_record_is_an_exact_duplicate_only_of_the_same_values(spark: SparkSession) -> None:
    schema = "_row long, item_id string, title string, brand string, _rule string"
    rows = spark.createDataFrame(RECORDS, schema).selectExpr("*", "'2026-11-20' AS ds", "'items.csv' AS _source_file")
    found = {row["_row"]: row["_rule"] for row in mark_repeated(rows, "item_id").collect()}
    assert found == {
        # The last record with a value is kept; the first one has the same values.
        3: None,
        1: "exact_duplicates",
        2: "duplicate_item_id",
        4: "duplicate_item_id",
        5: None,
        6: "missing_item",
        7: "missing_item",
        8: "corrupt_record",
    }
