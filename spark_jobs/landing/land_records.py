"""What landing does with records of any kind: tell records from other rows, number and hash them, write them."""

from pathlib import Path
from typing import Final

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.cleaning.map_events import RECORD, ROW, TIME
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.common.sql_expressions import checked, lenient
from spark_jobs.landing.parquet_options import LANDED
from spark_jobs.landing.read_records import CORRUPT, FOUND

_KEPT: Final = "_kept"
UNDATED: Final = "_undated"
"""Whether a record has no day of its own: kept where files do not name their day."""
_RESERVED: Final = ("ds", "arrived", TIME, ROW, RECORD, UNDATED, _KEPT)
"""Names of the landing's folders, and of the columns that it adds."""


def only_records(raw: DataFrame, form: FileForm, counts: Observation, where: str) -> DataFrame:
    """Apply `where`; `counts` will tell how many rows there were and how many it left out. Corrupt rows stay.

    Raises:
        SourceError: a column has a name that the landing needs, or `where` does not fit.
    """
    _refuse_reserved(raw, where)
    with lenient(raw.sparkSession):
        wanted = checked(raw, form.where, f"{where}.where") if form.where else F.lit(True)
        kept = F.coalesce(wanted.cast("boolean"), F.lit(False)) | F.col(CORRUPT).isNotNull()
        told = raw.withColumn(_KEPT, kept)
    left_out = F.coalesce(F.sum(F.when(~F.col(_KEPT), 1)), F.lit(0))
    seen = told.observe(counts, F.count(F.lit(1)).alias("rows_read"), left_out.alias("left_out_by_where"))
    return seen.where(F.col(_KEPT)).drop(_KEPT)


def _refuse_reserved(raw: DataFrame, where: str) -> None:
    clash = [name for name in raw.columns if name.lower() in _RESERVED]
    if clash:
        new = f"{clash[0].strip('_')}_"
        raise SourceError(
            f"The files of [{where}] have a column {clash[0]!r}, a name that the landing needs: rename it with "
            f'select = ["* EXCEPT ({clash[0]})", "{clash[0]} AS {new}"] in [{where}]'
        )


def with_record_id(records: DataFrame) -> DataFrame:
    """Add `_record_id`, a hash of all the shop said."""
    own = [name for name in records.columns if name not in (*FOUND, TIME)]
    said = [*(F.col(quoted(name)) for name in own), F.col(CORRUPT)]
    # xxhash64 skips NULLs, so ('a', NULL) would equal (NULL, 'a'): which ones are NULL is hashed too.
    gaps = F.concat(*(F.when(value.isNull(), "1").otherwise("0") for value in said))
    return records.select("*", F.xxhash64(*said, gaps).alias(RECORD))


def numbered(identified: DataFrame, ds: Column, arrived: Column, *more: Column) -> DataFrame:
    """Add ds, arrived, the columns `more` and `_row` (unique among all landed rows); `_ts` goes."""
    # 16 bits of day, 14 of partition, 33 of row: unique across deliveries, each of which is written whole.
    row = F.shiftleft(F.unix_date(F.col("arrived")).cast("long"), 47).bitwiseOR(F.monotonically_increasing_id())
    dated = identified.select("*", ds.alias("ds"), arrived.alias("arrived"), *more).drop(TIME)
    return dated.select("*", row.alias(ROW))


def write_landing(records: DataFrame, folder: Path) -> None:
    """Write the records as ``ds=…/arrived=…/*.parquet``."""
    records.write.options(**LANDED).partitionBy("ds", "arrived").parquet(str(folder))
