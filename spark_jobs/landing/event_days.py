"""The time zone of the shop: the day of an event in it, and whether that day is possible."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

from pyspark.errors import IllegalArgumentException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Rules
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.times import DAY, day_sql

_ZONE: Final = "spark.sql.session.timeZone"


@contextmanager
def shop_clock(spark: SparkSession, zone: str | None) -> Iterator[None]:
    """Within the context, expressions read times without an offset in the zone of the source.

    An expression keeps the zone in which it was built. Outside of the context that is the session's zone, UTC.

    Raises:
        SourceError: this Java is older than the zone, and lacks it.
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
    """Return the day of the timestamp `ts`, a column or a Spark SQL expression, in the zone."""
    return F.expr(day_sql(ts, zone))


def day_number(micros: str, zone: str | None) -> Column:
    """Return the day of `micros`, Spark SQL of epoch microseconds, as days since 1970 in the zone."""
    if zone is None:
        return F.floor(F.expr(micros) / DAY).cast("int")
    return F.unix_date(day_of(f"timestamp_micros({micros})", zone))


def possible_day(happened: Column, rules: Rules, file_day: Column | date) -> Column:
    """Return the day `happened` where it is possible for a record in a file of `file_day`, else NULL."""
    latest = F.date_add(file_day if isinstance(file_day, Column) else F.lit(file_day), rules.waiting_days)
    return F.when((happened >= F.lit(rules.earliest)) & (happened <= latest), happened)
