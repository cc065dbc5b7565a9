"""Converts rejected landed records into rows of the table `quarantine`."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.read_records import CORRUPT, SOURCE_FILE

RAW: Final = "_raw"


def raw_text(landed: DataFrame, longest: int) -> Column:
    """Return `_raw`, a record of `landed` as text: unchanged where it could not be parsed, else as JSON."""
    own = [quoted(name) for name in landed.columns if not name.startswith("_") and name not in ("ds", "arrived")]
    as_json = F.to_json(F.struct(*own), {"ignoreNullFields": "true"})
    return F.substring(F.coalesce(F.col(CORRUPT), as_json), 1, longest).alias(RAW)


def quarantine_rows(refused: DataFrame) -> DataFrame:
    """Return the rows of `quarantine` for records with `_raw`, `_rule` and `detail`."""
    return refused.select(
        F.col(RAW).alias("raw"),
        F.col(RULE).alias("rule"),
        "detail",
        F.regexp_replace(SOURCE_FILE, "^file:(//)?", "").alias("source_file"),
        "ds",
    ).select(*TABLES["quarantine"].column_names)
