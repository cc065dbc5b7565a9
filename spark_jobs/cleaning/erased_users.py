"""Knows the records of users whom the source has forgotten, by the hashes that are kept of them."""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.sources.erased import SEPARATORS, WHOLE_NUMBER, ErasedUsers
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.landing.read_records import CORRUPT

ERASED: Final = "forgotten"
"""Outcome and rule of such a record: it is counted, and neither kept as an event nor in quarantine."""


def is_erased(erased: ErasedUsers) -> Column:
    """Whether a mapped record (user_key, `_corrupt`) is a forgotten user's; never NULL."""
    by_key = _is_listed(F.col("user_key"), erased)
    # A line that could not be parsed has no columns: only its words can name somebody.
    words = [F.split(CORRUPT, separator) for separator in SEPARATORS]
    by_word = [
        F.exists(words_of_line, lambda word: _is_listed(F.regexp_replace(word, WHOLE_NUMBER, ""), erased))
        for words_of_line in words
    ]
    return reduce(Column.__or__, (F.coalesce(match, F.lit(False)) for match in (by_key, *by_word)))


def mark_erased(marked: DataFrame, erased: ErasedUsers) -> DataFrame:
    """Put `forgotten` in the place of any other verdict; where nobody was forgotten, nothing is computed."""
    if not erased:
        return marked
    return marked.withColumn(RULE, F.when(is_erased(erased), F.lit(ERASED)).otherwise(F.col(RULE)))


def _is_listed(key: Column, erased: ErasedUsers) -> Column:
    return F.sha2(F.concat(F.lit(erased.salt), key), 256).isin(*sorted(erased.all_hashes))
