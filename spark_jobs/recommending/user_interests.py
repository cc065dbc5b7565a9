"""Weights of events as signs of interest, and the values that a user is most interested in."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

INTEREST_WEIGHTS: Final = {"view": 1, "click": 1, "rating": 3, "cart": 3, "purchase": 5}
"""Event type -> weight of the interest in its item; integers, so that sums do not depend on their order.

Impressions and searches express no interest in one item. A cancellation takes back the money of its purchase, not the
interest.
"""
FAVORITES: Final = 5


def event_weight() -> Column:
    """Return the weight of `event_type`, 0 for types that are not in `INTEREST_WEIGHTS`."""
    weights = F.create_map(*(F.lit(part) for pair in INTEREST_WEIGHTS.items() for part in pair))
    return F.coalesce(F.try_element_at(weights, F.col("event_type")), F.lit(0))


def find_favorites(touched: DataFrame, column: str, name: str, interest: str) -> DataFrame:
    """Return (user_key, `name`, `interest`): up to 5 values of `column` by weighted events and their interest scores.

    A score is the value's share of all the user's weighted events that have one, in (0, 1]. Ties are in
    alphabetical order. `touched` holds user_key, weight and `column`.
    """
    best = rank_values(touched, column, FAVORITES)
    share = F.transform("best", lambda one: F.round(one["less_weight"] / F.col("all"), 4))
    return best.select("user_key", F.col("best.value").alias(name), share.alias(interest))


def rank_values(touched: DataFrame, column: str, most: int) -> DataFrame:
    """Return (user_key, best, all): up to `most` values of `column` by the sum of `weight`, ties in their own order.

    `best` is a list of (less_weight, value), `all` the sum of less_weight over all values; both weights are negative.
    """
    weights = (
        touched.where(F.col(column).isNotNull() & (F.col("weight") > 0))
        .groupBy("user_key", column)
        .agg((-F.sum("weight")).alias("less_weight"))
    )
    # Sorted, so that Spark builds one user's list at a time. Its hash aggregate falls back to a slower sort after 128
    # users.
    weights = weights.sortWithinPartitions("user_key")
    ranked = F.array_sort(F.collect_list(F.struct("less_weight", F.col(column).alias("value"))))
    return weights.groupBy("user_key").agg(F.slice(ranked, 1, most).alias("best"), F.sum("less_weight").alias("all"))
