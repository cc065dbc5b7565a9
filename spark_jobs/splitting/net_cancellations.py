"""Nets cancellations against the purchases they take back, at read time: the ledger in `events` stays as it happened.

Netting in place would rewrite earlier nights, and would let a past night know of a later regret.
"""

from typing import Final

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

ABSORBED: Final = "absorbed"
"""Units of a purchase that cancellations took back."""
_PAIR: Final = ("user_key", "item_id")


def netted_purchases(events: DataFrame) -> DataFrame:
    """Return (event_id, ds, quantity, absorbed) of the purchases that a cancellation removed or lowered.

    A cancellation takes back units of the same user's latest earlier purchases of the same item; what finds no
    earlier purchase is lost, and never touches a later one. Read backwards in time that is a queue: cancellations add
    to the units outstanding, purchases take from them, never below zero (Lindley's recursion: the running sum less its
    running minimum).
    """
    orders = events.where(F.col("event_type").isin("purchase", "cancellation") & F.col("user_key").isNotNull())
    cancelled = orders.where(F.col("event_type") == "cancellation").select(*_PAIR).distinct()
    concerned = orders.join(F.broadcast(cancelled), on=list(_PAIR), how="left_semi")
    is_cancellation = F.col("event_type") == "cancellation"
    units = F.coalesce(F.abs("quantity"), F.lit(1.0))
    # At the same moment the purchase came first, so backwards the cancellation does.
    backwards = Window.partitionBy(*_PAIR).orderBy(F.desc("ts"), is_cancellation.desc(), F.desc("event_id"))
    so_far = backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    moved = concerned.withColumn("units", units).withColumn("signed", F.when(is_cancellation, units).otherwise(-units))
    summed = moved.withColumn("sum", F.sum("signed").over(so_far))
    lowest = summed.withColumn("open", F.col("sum") - F.least(F.min("sum").over(so_far), F.lit(0.0)))
    absorbed = F.coalesce(F.lag("open").over(backwards), F.lit(0.0)) - F.col("open")
    taken = lowest.withColumn(ABSORBED, absorbed).where(~is_cancellation & (F.col(ABSORBED) > 0))
    return taken.select("event_id", "ds", F.col("units").alias("quantity"), ABSORBED)
