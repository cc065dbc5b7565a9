"""Builds sequences from events: cancellations are netted against purchases, queries attributed to events.

The ledger in `events` stays as it happened. Netting in place would rewrite earlier runs, and let a past run know of a
later cancellation.
"""

from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.tables.contracts import CHOSEN_TYPES, TABLES
from pipeline_tasks.times import SESSION_GAP

LED_BY: Final = "led_by"
"""The query that led to an event, NULL for none."""
_CHOSEN: Final = "is_chosen"
NO_ACCEPTED_EVENTS: Final = (
    "cleaning accepted no event of these days. Which rules refused them: "
    'nightshelf sql "SELECT rule, detail, count(*) AS n FROM quarantine GROUP BY ALL ORDER BY n DESC"'
)
ABSORBED: Final = "absorbed"
"""Units of a purchase that cancellations took back."""
_PAIR: Final = ("user_key", "item_id")


def has_queries(events: DataFrame) -> bool:
    """Return whether the log holds a query. For a log without queries, Parquet's statistics suffice."""
    return not events.where(F.col("query").isNotNull()).isEmpty()


def with_queries(chosen: DataFrame, others: DataFrame, key: Column) -> DataFrame:
    """Return the events `chosen` and `others` with `sequence_key`, `led_by` and the flag of the chosen ones.

    The query that led to an event is its own, where the shop gives one, else the last query of the same session, at
    most SESSION_GAP earlier. Later queries are ignored. There is one shuffle, by the key of the sequences.
    """
    columns = ("user_key", "session_id", "item_id", "event_type", "query", "ts", "event_id", "ds")
    parts = [part.select(*columns, F.lit(kept).alias(_CHOSEN)) for part, kept in ((chosen, True), (others, False))]
    both = parts[0].unionByName(parts[1])
    keyed = both.withColumn("sequence_key", key).where(F.col("sequence_key").isNotNull()).repartition("sequence_key")
    session = Window.partitionBy("sequence_key", "session_id").orderBy("ts", _CHOSEN, "event_id")
    typed = F.when(F.col("query").isNotNull(), F.struct("ts", "query"))
    latest = F.last(typed, ignorenulls=True).over(session)
    recent = F.unix_micros("ts") - F.unix_micros(latest["ts"]) <= SESSION_GAP
    return keyed.withColumn(LED_BY, F.when(recent, latest["query"]))


def without_queries(chosen: DataFrame, key: Column) -> DataFrame:
    """Return the result of `with_queries` for a log without queries."""
    rows = chosen.withColumns({"sequence_key": key, LED_BY: F.lit(None).cast("string"), _CHOSEN: F.lit(True)})
    return rows.where(F.col("sequence_key").isNotNull())


def is_chosen() -> Column:
    """Return the condition for the events that belong to sequences."""
    return F.col(_CHOSEN)


def netted_purchases(events: DataFrame) -> DataFrame:
    """Return (event_id, ds, quantity, absorbed) of the purchases that a cancellation removed or lowered.

    A cancellation takes back units of the same user's latest earlier purchases of the same item. Units without an
    earlier purchase are ignored; they never reduce a later one. Backwards in time this is a queue: cancellations add
    outstanding units, purchases remove them, never below zero (Lindley's recursion: the running sum less its running
    minimum).
    """
    orders = events.where(F.col("event_type").isin("purchase", "cancellation") & F.col("user_key").isNotNull())
    cancelled = orders.where(F.col("event_type") == "cancellation").select(*_PAIR).distinct()
    concerned = orders.join(F.broadcast(cancelled), on=list(_PAIR), how="left_semi")
    is_cancellation = F.col("event_type") == "cancellation"
    units = F.coalesce(F.abs("quantity"), F.lit(1.0))
    # At the same time the purchase comes first, so backwards the cancellation does.
    backwards = Window.partitionBy(*_PAIR).orderBy(F.desc("ts"), is_cancellation.desc(), F.desc("event_id"))
    so_far = backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    moved = concerned.withColumn("units", units).withColumn("signed", F.when(is_cancellation, units).otherwise(-units))
    summed = moved.withColumn("sum", F.sum("signed").over(so_far))
    lowest = summed.withColumn("open", F.col("sum") - F.least(F.min("sum").over(so_far), F.lit(0.0)))
    absorbed = F.coalesce(F.lag("open").over(backwards), F.lit(0.0)) - F.col("open")
    taken = lowest.withColumn(ABSORBED, absorbed).where(~is_cancellation & (F.col(ABSORBED) > 0))
    return taken.select("event_id", "ds", F.col("units").alias("quantity"), ABSORBED)


def select_sequence_events(events: DataFrame, netted: DataFrame | None) -> DataFrame:
    """Return the events of sequences: those of CHOSEN_TYPES, without purchases that were cancelled completely."""
    chosen = events.where(_is_chosen_type())
    if netted is None:
        return chosen
    gone = netted.where(F.col(ABSORBED) >= F.col("quantity")).select("event_id", "ds")
    return chosen.join(F.broadcast(gone), on=["event_id", "ds"], how="left_anti")


def build_sequences(chosen: DataFrame, events: DataFrame, ds: date) -> DataFrame:
    """Return rows of the table `sequences`. An anonymous event without a session belongs to no sequence.

    Args:
        chosen: the result of `select_sequence_events`.
        events: all events of the window.
        ds: day of the run.
    """
    key = F.coalesce(F.col("user_key"), F.concat(F.lit("session:"), F.col("session_id")))
    if has_queries(events):
        keyed = with_queries(chosen, events.where(F.col("query").isNotNull() & ~_is_chosen_type()), key)
    else:
        keyed = without_queries(chosen, key)
    entry = F.struct("ts", "event_id", "item_id", "event_type", LED_BY)
    typed = F.struct("ts", "query", "ds")
    gathered = keyed.groupBy("sequence_key", "user_key").agg(
        F.array_sort(F.collect_list(F.when(is_chosen(), entry))).alias("entries"),
        F.max(F.when(~is_chosen(), typed)).alias("typed"),
    )
    waiting = (F.col("typed.ts") > F.element_at("entries", -1)["ts"]) & (F.col("typed.ds") == F.lit(ds))
    some = F.exists("entries", lambda one: one[LED_BY].isNotNull())
    queries = F.transform("entries", lambda one: F.coalesce(one[LED_BY], F.lit("")))
    return (
        gathered.where(F.size("entries") > 0)
        .select(
            "sequence_key",
            "user_key",
            F.col("entries.item_id").alias("item_ids"),
            F.col("entries.event_type").alias("event_types"),
            F.transform("entries", lambda one: F.unix_micros(one["ts"])).alias("timestamps"),
            F.when(some, queries).alias("queries"),
            F.when(waiting, F.col("typed.query")).alias("last_query"),
            F.lit(ds).alias("ds"),
        )
        .select(*TABLES["sequences"].column_names)
    )


def _is_chosen_type() -> Column:
    return F.col("event_type").isin(*CHOSEN_TYPES) & F.col("item_id").isNotNull()


def no_histories_reason(events: DataFrame) -> str:
    """Return the reason why the events give no sequence, and the remedy."""
    known = F.col("user_key").isNotNull() | F.col("session_id").isNotNull()
    rows = events.groupBy("event_type").agg(F.count(F.lit(1)).alias("n"), F.count_if(known).alias("known")).collect()
    counts = {row["event_type"]: row["n"] for row in sorted(rows, key=lambda row: row["n"], reverse=True)}
    chosen = [row for row in rows if row["event_type"] in CHOSEN_TYPES]
    found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if not counts:
        return NO_ACCEPTED_EVENTS
    if not chosen:
        *most, last = CHOSEN_TYPES
        return (
            f"no event is a {', '.join(most)} or {last} (only {found}), and no other type shows what a user wants: "
            f"map some values of the log to these in events.columns.event_type"
        )
    if not any(row["known"] for row in chosen):
        return (
            f"no event has a user_key or a session_id ({found}), so none belongs to a sequence: map "
            f"events.columns.user_key or events.columns.session_id"
        )
    return f"every purchase was cancelled ({found}), so no event is left for training: deliver more days"
