"""Says why a window of events yields no history."""

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.tables.contracts import CHOSEN_TYPES

NOTHING_ACCEPTED: Final = (
    "cleaning accepted no event of these days. Which rules refused them: "
    'nightshelf sql "SELECT rule, detail, count(*) AS n FROM quarantine GROUP BY ALL ORDER BY n DESC"'
)


def why_no_histories(events: DataFrame) -> str:
    """Return why no history can be made of the events, and what to do about it."""
    known = F.col("user_key").isNotNull() | F.col("session_id").isNotNull()
    rows = events.groupBy("event_type").agg(F.count(F.lit(1)).alias("n"), F.count_if(known).alias("known")).collect()
    counts = {row["event_type"]: row["n"] for row in sorted(rows, key=lambda row: row["n"], reverse=True)}
    chosen = [row for row in rows if row["event_type"] in CHOSEN_TYPES]
    found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    if not counts:
        return NOTHING_ACCEPTED
    if not chosen:
        *most, last = CHOSEN_TYPES
        return (
            f"no event is a {', '.join(most)} or {last} (only {found}), so nothing says what anybody wanted: "
            f"map some values of the log to these in events.columns.event_type"
        )
    if not any(row["known"] for row in chosen):
        return (
            f"no event has a user_key or a session_id ({found}), so none belongs to a history: map "
            f"events.columns.user_key or events.columns.session_id"
        )
    return f"cancellations took back every purchase ({found}), so nothing is left to learn from: deliver more days"
