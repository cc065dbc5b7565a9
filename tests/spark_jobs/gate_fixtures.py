"""Cases of all tables, and a fixture for tests that run a gate."""

from collections.abc import Iterator
from typing import Final

import pytest
from pyspark.sql import SparkSession

from tests.spark_jobs import gold_cases, silver_cases

GOOD: Final = silver_cases.GOOD | gold_cases.GOOD
DEFECTS: Final = silver_cases.DEFECTS | gold_cases.DEFECTS


@pytest.fixture(scope="module")
def interpreted(spark: SparkSession) -> Iterator[None]:
    """Interpret queries, as the gate does for small tables: compiling 30 queries takes longer than running them."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")
