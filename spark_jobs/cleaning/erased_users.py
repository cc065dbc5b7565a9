"""Finds the records of erased users by the stored hashes of their keys."""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.erased import SEPARATORS, WHOLE_NUMBER, ErasedUsers
from spark_jobs.cleaning.cleaning_rules import RAW, RULE, raw_text
from spark_jobs.cleaning.map_events import ROW
from spark_jobs.landing.read_records import CORRUPT

_NAMED: Final = "_named"
ERASED: Final = "forgotten"
"""Outcome and rule of such a record. It is counted, but stored neither in events nor in quarantine."""


def is_erased(erased: ErasedUsers) -> Column:
    """Return the condition that a mapped record (user_key, `_corrupt`) belongs to an erased user; never NULL."""
    by_key = F.coalesce(_is_listed(F.col("user_key"), erased), F.lit(False))
    # A line that could not be parsed has no columns, so its words are compared.
    return by_key | _is_named_in(F.col(CORRUPT), erased)


def mark_erased(marked: DataFrame, erased: ErasedUsers) -> DataFrame:
    """Set the rule of erased users' records, in place of any other; without erased users nothing is computed."""
    if not erased:
        return marked
    return marked.withColumn(RULE, F.when(is_erased(erased), F.lit(ERASED)).otherwise(F.col(RULE)))


def mark_named(raw: DataFrame, rejected: DataFrame, erased: ErasedUsers, refused: Column) -> DataFrame:
    """Set the rule of the `refused` rows of `rejected` whose record in `raw` names an erased user in its text.

    The text of a refused record is stored. A record with values in the wrong columns names the user in another column.
    """
    if not erased:
        return rejected
    records = raw.join(F.broadcast(rejected.where(refused).select(ROW)), on=ROW, how="inner")
    # Cut to the length that is stored: text that is cut off names no user.
    texts = records.select(ROW, raw_text(raw, settings().cleaning.max_raw_characters))
    named = texts.where(_is_named_in(F.col(RAW), erased)).select(ROW, F.lit(True).alias(_NAMED))
    joined = rejected.join(F.broadcast(named), on=ROW, how="left")
    return joined.withColumn(RULE, F.when(F.col(_NAMED), F.lit(ERASED)).otherwise(F.col(RULE))).drop(_NAMED)


def _is_named_in(text: Column, erased: ErasedUsers) -> Column:
    """Return the condition that a text names an erased user, as in `ErasedUsers.is_named_in`; never NULL."""
    words = [F.split(text, separator) for separator in SEPARATORS]
    words.append(F.map_values(F.from_json(text, "map<string,string>")))
    matches = (
        F.exists(some, lambda word: _is_listed(F.regexp_replace(word, WHOLE_NUMBER, ""), erased)) for some in words
    )
    return reduce(Column.__or__, (F.coalesce(match, F.lit(False)) for match in matches))


def _is_listed(key: Column, erased: ErasedUsers) -> Column:
    return F.sha2(F.concat(F.lit(erased.salt), key), 256).isin(*sorted(erased.all_hashes))
