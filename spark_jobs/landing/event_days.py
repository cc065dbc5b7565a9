"""Reads times by the shop's clock, and decides the day of an event and whether it is possible."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

from pyspark.errors import IllegalArgumentException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Rules
from pipeline_tasks.local_days import day_sql
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.time_units import DAY

_ZONE: Final = "spark.sql.session.timeZone"


@contextmanager
def shop_clock(spark: SparkSession, zone: str | None) -> Iterator[None]:
    """Build a source's own expressions so that times without an offset are read in its zone.

    An expression keeps the zone that it was built in; all others are built in the session's, UTC.

    Raises:
        SourceError: Java, which is older than the zone, does not know it.
    """
    before = spark.conf.get(_ZONE)
    try:
        spark.conf.set(_ZONE, zone or before or "UTC")
    except IllegalArgumentException:
        raise SourceError(
            f"timezone {zone!r} is unknown to this Java, which is older: update Java, or name another zone with "
            f"the same clock"
        ) from None
    try:
        yield
    finally:
        spark.conf.set(_ZONE, before or "UTC")


def day_of(ts: str, zone: str | None) -> Column:
    """Return the day of the timestamp `ts`, a column or a Spark SQL expression, by the clock of the zone."""
    return F.expr(day_sql(ts, zone))


def day_number(micros: str, zone: str | None) -> Column:
    """Return the day of `micros`, Spark SQL of epoch microseconds, as days since 1970 by the clock of the zone."""
    if zone is None:
        return F.floor(F.expr(micros) / DAY).cast("int")
    return F.unix_date(day_of(f"timestamp_micros({micros})", zone))


def possible_day(happened: Column, rules: Rules, file_day: Column | date) -> Column:
    """Return `happened` where that day is possible for a record of a file of `file_day`, else NULL."""
    latest = F.date_add(file_day if isinstance(file_day, Column) else F.lit(file_day), rules.waiting_days)
    return F.when((happened >= F.lit(rules.earliest)) & (happened <= latest), happened)
