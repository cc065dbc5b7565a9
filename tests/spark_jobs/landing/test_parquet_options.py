from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.common.stage_table import LANDED, parquet_options

pytestmark = pytest.mark.spark


def written(spark: SparkSession, folder: Path, options: dict[str, str]) -> dict[str, tuple[str, bool]]:
    """Return each column's compression, and whether it has a dictionary."""
    rows = spark.range(1_000).selectExpr("'ann' AS user_key", "'view' AS event_type")
    rows.coalesce(1).write.options(**options).parquet(str(folder))
    group = pq.read_metadata(next(folder.glob("*.parquet"))).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    return {chunk.path_in_schema: (chunk.compression, chunk.has_dictionary_page) for chunk in chunks}


def test_ids_of_events_have_no_dictionary_and_nothing_landed_has_one(spark: SparkSession, tmp_path: Path) -> None:
    events = written(spark, tmp_path / "events", dict(parquet_options("events")))
    assert events == {"user_key": ("ZSTD", False), "event_type": ("ZSTD", True)}
    encodings = written(spark, tmp_path / "recommendations", dict(parquet_options("recommendations")))
    assert encodings == {"user_key": ("ZSTD", True), "event_type": ("ZSTD", True)}
    landed = written(spark, tmp_path / "landed", LANDED)
    assert landed == {"user_key": ("ZSTD", False), "event_type": ("ZSTD", False)}


def test_pyarrow_writes_the_same_compression(tmp_path: Path) -> None:
    lake, ds = Lake.open(Settings(home=tmp_path), "shop"), date(2026, 11, 20)
    rows = [{"user_key": "ann", "attributes": None, "first_seen": ds, "last_seen": ds, "ds": ds}]
    [file] = lake.write_arrow("users", pa.Table.from_pylist(rows, arrow_schema(TABLES["users"])))
    assert pq.read_metadata(file.removeprefix("file://")).row_group(0).column(0).compression == "ZSTD"
