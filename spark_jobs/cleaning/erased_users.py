"""Knows the records of users whom the source has forgotten, by the hashes that are kept of them."""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.sources.erased import SEPARATORS, WHOLE_NUMBER, ErasedUsers
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.landing.read_records import CORRUPT

FORGOTTEN: Final = "forgotten"
"""Outcome and rule of such a record: it is counted, and neither kept as an event nor in quarantine."""


def is_of(forgotten: ErasedUsers) -> Column:
    """Whether a mapped record (user_key, `_corrupt`) is a forgotten user's; never NULL."""
    by_key = _known(F.col("user_key"), forgotten)
    # A line that could not be parsed has no columns: only its words can name somebody.
    words = [F.split(CORRUPT, separator) for separator in SEPARATORS]
    named = [F.exists(one, lambda word: _known(F.regexp_replace(word, WHOLE_NUMBER, ""), forgotten)) for one in words]
    return reduce(Column.__or__, (F.coalesce(told, F.lit(False)) for told in (by_key, *named)))


def mark_erased(judged: DataFrame, forgotten: ErasedUsers) -> DataFrame:
    """Put `forgotten` in the place of any other verdict; where nobody was forgotten, nothing is computed."""
    if not forgotten:
        return judged
    return judged.withColumn(RULE, F.when(is_of(forgotten), F.lit(FORGOTTEN)).otherwise(F.col(RULE)))


def _known(key: Column, forgotten: ErasedUsers) -> Column:
    return F.sha2(F.concat(F.lit(forgotten.salt), key), 256).isin(*sorted(forgotten.all_hashes))
