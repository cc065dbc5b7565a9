"""Temporary views for the expectations of a step: staged tables, the published ones they refer to, derived facts."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from pipeline_tasks.lake.files import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.parquet_footers import file_days
from pipeline_tasks.lake.staging import Manifest
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from pipeline_tasks.times import end_of_day
from spark_jobs.common.connect_frames import persisted
from spark_jobs.common.stage_table import local_rows, no_rows

REFERENCES = {
    "clean": (),
    "split": ("items",),
    "recommend": ("items", "sequences"),
}
"""Step -> published tables of the day of the run that its expectations refer to, in the snapshot that the step read."""
STAGED_ROWS = pa.schema([("name", pa.string()), ("ds", pa.date32()), ("rows", pa.int64())])
ARMS = pa.schema([("arm", pa.string()), ("by_score", pa.bool_())])
FACTS = pa.schema([("name", pa.string()), ("value", pa.string())])
RULES = "item_id string, allowed boolean, replenishable boolean"
OPT_OUTS = "user_key string, item_id string"
"""Schemas of the files of business rules that `pipeline_tasks.recommend.prepare_offered_items` writes."""


def register_tables(spark: SparkSession, lake: Lake, manifest: Manifest) -> None:
    """Create a temporary view of every staged table, and of every published table that the step refers to.

    The view `staged_rows` holds the number of rows of each staged table and day, from the footers of the files.
    """
    for name in REFERENCES[manifest.step]:
        snapshot = manifest.facts.get(f"{name}_snapshot_id")
        files = lake.files(name, (manifest.ds, manifest.ds), int(snapshot) if snapshot else None)
        _read(spark, name, files, spark_ddl(TABLES[name])).createOrReplaceTempView(name)
    for name, staged in manifest.tables.items():
        schema = written_schema(staged.files[0]) if staged.files else spark_ddl(TABLES[name])
        _read(spark, name, staged.files, schema).createOrReplaceTempView(name)
    counts = [(name, day.ds, day.rows) for name, staged in manifest.tables.items() for day in file_days(staged.files)]
    local_rows(spark, counts, STAGED_ROWS).createOrReplaceTempView("staged_rows")


def written_schema(file: str) -> StructType:
    """Return the schema of a file, to be checked against the contract. Spark would start a job to infer it."""
    system, inner = file_location(file)
    return from_arrow_schema(pq.read_schema(inner, filesystem=system))


def _read(spark: SparkSession, name: str, files: list[str], schema: StructType | str) -> DataFrame:
    return spark.read.schema(schema).parquet(*files) if files else no_rows(spark, name)


def register_facts(spark: SparkSession, manifest: Manifest) -> None:
    """Create the views of the manifest's facts, and for `recommend` those of the business rules and due rows."""
    local_rows(spark, sorted(manifest.facts.items()), FACTS).createOrReplaceTempView("manifest_facts")
    if manifest.step != "recommend":
        return
    folder = Path(manifest.facts["shelf_folder"])
    spark.read.schema(RULES).parquet(str(folder / "rules.parquet")).createOrReplaceTempView("item_rules")
    spark.read.schema(OPT_OUTS).parquet(str(folder / "opt_outs.parquet")).createOrReplaceTempView("opt_outs")
    arms = [(arm["name"], arm["by_score"]) for arm in json.loads(manifest.facts["arms"])]
    local_rows(spark, arms, ARMS).createOrReplaceTempView("arms")
    # Cached, because two suites and three rules read it.
    persisted(spark.sql(already_taken_sql(manifest))).createOrReplaceTempView("already_taken")
    spark.sql(rows_due_sql(manifest)).createOrReplaceTempView("rows_due_by_user")


def already_taken_sql(manifest: Manifest) -> str:
    """Return the query of the (user_key, item_id) that must not be recommended because of the user's events.

    The user has an event of an excluded type with the item, on any day, or bought it within the last
    `exclude_purchased_days` days, the day of the run included. Items that nobody may be shown and replenishable items
    are left out.
    """
    days = int(manifest.facts["exclude_purchased_days"])
    excluded = manifest.facts.get("excluded_event_types", "")
    since = end_of_day(manifest.ds - timedelta(days=days), manifest.facts.get("timezone") or None)
    return f"""
        SELECT DISTINCT user_key, event.item_ids AS item_id
        FROM sequences LATERAL VIEW explode(arrays_zip(item_ids, event_types, timestamps)) AS event
        WHERE user_key IS NOT NULL AND ((event.event_types = 'purchase' AND event.timestamps >= {since})
        OR array_contains(split('{excluded}', ','), event.event_types))
        AND event.item_ids IN (SELECT item_id FROM item_rules WHERE allowed AND NOT replenishable)"""


def rows_due_sql(manifest: Manifest) -> str:
    """Return the query of (user_key, rows_due): top_k rows, or all allowed items where fewer are allowed."""
    top_k = int(manifest.facts["top_k"])
    return f"""
        SELECT user_key, least({top_k}, (SELECT count(*) FROM item_rules WHERE allowed) - count(item_id)) AS rows_due
        FROM (SELECT DISTINCT user_key FROM sequences
              ANTI JOIN (SELECT user_key FROM opt_outs WHERE item_id IS NULL) USING (user_key)
              WHERE user_key IS NOT NULL)
        LEFT JOIN (SELECT user_key, item_id FROM already_taken UNION
                   SELECT user_key, item_id FROM opt_outs SEMI JOIN (SELECT item_id FROM item_rules WHERE allowed)
                   USING (item_id)) USING (user_key)
        GROUP BY user_key"""
