"""Finds the records of erased users by the stored hashes of their keys."""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.sources.erased import SEPARATORS, WHOLE_NUMBER, ErasedUsers
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.landing.read_records import CORRUPT

ERASED: Final = "forgotten"
"""Outcome and rule of such a record. It is counted, but stored neither in events nor in quarantine."""


def is_erased(erased: ErasedUsers) -> Column:
    """Return the condition that a mapped record (user_key, `_corrupt`) belongs to an erased user; never NULL."""
    by_key = _is_listed(F.col("user_key"), erased)
    # A line that could not be parsed has no columns, so its words are compared.
    words = [F.split(CORRUPT, separator) for separator in SEPARATORS]
    by_word = [
        F.exists(words_of_line, lambda word: _is_listed(F.regexp_replace(word, WHOLE_NUMBER, ""), erased))
        for words_of_line in words
    ]
    return reduce(Column.__or__, (F.coalesce(match, F.lit(False)) for match in (by_key, *by_word)))


def mark_erased(marked: DataFrame, erased: ErasedUsers) -> DataFrame:
    """Set the rule of erased users' records, in place of any other; without erased users nothing is computed."""
    if not erased:
        return marked
    return marked.withColumn(RULE, F.when(is_erased(erased), F.lit(ERASED)).otherwise(F.col(RULE)))


def _is_listed(key: Column, erased: ErasedUsers) -> Column:
    return F.sha2(F.concat(F.lit(erased.salt), key), 256).isin(*sorted(erased.all_hashes))
