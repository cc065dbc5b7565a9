"""Steps of landing that all kinds of records share: filter by `where`, hash, number and write them."""

from pathlib import Path
from typing import Final

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.cleaning.map_events import KEPT, RECORD, ROW, TIME
from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.common.sql_expressions import checked, lenient
from spark_jobs.common.stage_table import LANDED
from spark_jobs.landing.read_records import CORRUPT, FOUND

UNDATED: Final = "_undated"
"""Flag of a record without a valid time, in files without a day in their path."""
_RESERVED: Final = ("ds", "arrived", TIME, ROW, RECORD, UNDATED, KEPT)
"""Names of the partitions of the landing, and of the columns that it adds."""


def flag_selected(raw: DataFrame, form: FileForm, where: str) -> DataFrame:
    """Add `_kept`: whether the `where` of the form is true, or the record is corrupt.

    `where` is the table of the form in the TOML, for messages.

    Raises:
        SourceError: a column has a reserved name, or the expression is invalid.
    """
    _reject_reserved_names(raw, where)
    with lenient(raw.sparkSession):
        wanted = checked(raw, form.where, f"{where}.where") if form.where else F.lit(True)
        kept = F.coalesce(wanted.cast("boolean"), F.lit(False)) | F.col(CORRUPT).isNotNull()
        return analyzed(raw.withColumn(KEPT, kept))


def keep_selected(flagged: DataFrame, counts: Observation) -> DataFrame:
    """Return the records with a true `_kept`, without that column.

    `counts` observes the number of rows (`rows_read`) and of those left out (`left_out_by_where`). Spark Connect loses
    an observation below a view, so that nothing may follow that calls `analyzed`.
    """
    left_out = F.coalesce(F.sum(F.when(~F.col(KEPT), 1)), F.lit(0))
    counted = flagged.observe(counts, F.count(F.lit(1)).alias("rows_read"), left_out.alias("left_out_by_where"))
    return counted.where(F.col(KEPT)).drop(KEPT)


def _reject_reserved_names(raw: DataFrame, where: str) -> None:
    clash = [name for name in raw.columns if name.lower() in _RESERVED]
    if clash:
        new = f"{clash[0].strip('_')}_"
        raise SourceError(
            f"The files of [{where}] have a column {clash[0]!r}, a name that the landing needs: rename it with "
            f'select = ["* EXCEPT ({clash[0]})", "{clash[0]} AS {new}"] in [{where}]'
        )


def add_record_id(records: DataFrame) -> DataFrame:
    """Add `_record_id`, a hash of all columns of the shop's record."""
    own = [name for name in records.columns if name not in (*FOUND, TIME)]
    values = [*(F.col(quoted(name)) for name in own), F.col(CORRUPT)]
    # xxhash64 skips NULLs, so ('a', NULL) would equal (NULL, 'a'): the flags of the NULLs are hashed too.
    null_flags = F.concat(*(F.when(value.isNull(), "1").otherwise("0") for value in values))
    return records.select("*", F.xxhash64(*values, null_flags).alias(RECORD))


def add_row_numbers(identified: DataFrame, ds: Column, arrived: Column, *more: Column) -> DataFrame:
    """Add ds, arrived, the columns `more` and `_row`, which is unique among all landed rows; drop `_ts`."""
    # 16 bits of day, 14 of partition and 33 of row are unique, because every delivery is written as a whole.
    row = F.shiftleft(F.unix_date(F.col("arrived")).cast("long"), 47).bitwiseOR(F.monotonically_increasing_id())
    dated = identified.select("*", ds.alias("ds"), arrived.alias("arrived"), *more).drop(TIME)
    return dated.select("*", row.alias(ROW))


def write_landing(records: DataFrame, folder: Path) -> None:
    """Write the records as ``ds=…/arrived=…/*.parquet``."""
    records.write.options(**LANDED).partitionBy("ds", "arrived").parquet(str(folder))
