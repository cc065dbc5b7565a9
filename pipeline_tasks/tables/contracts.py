"""The contract of every table: its columns and their allowed values.

Jobs, gates, model and tests import from here. A table is described in one neutral form (`Table`), which
`pipeline_tasks.tables.schemas` renders as Spark DDL, a pyarrow schema or an Iceberg schema.
"""

from typing import Final

from pipeline_tasks.tables.gold_tables import (
    AUDIENCES,
    DEMAND_OUTLOOK,
    FALLBACK_RECOMMENDATIONS,
    NEXT_ITEMS,
    PURCHASE_INTENT,
    RECOMMENDATIONS,
    SEARCH_RESULTS,
    SEARCH_SUGGESTIONS,
    SIMILAR_ITEMS,
    USER_PROFILES,
)
from pipeline_tasks.tables.silver_tables import EVENTS, ITEMS, QUARANTINE, RECONCILIATION, SEQUENCES, SPLITS, USERS
from pipeline_tasks.tables.table_contract import Column, DataType, Table

EVENT_TYPES: Final = ("impression", "view", "click", "cart", "purchase", "rating", "search", "cancellation")
"""Allowed values of `events.event_type`. A cancellation is a ledger entry: it is netted when sequences are built."""

CHOSEN_TYPES: Final = tuple(name for name in EVENT_TYPES if name not in ("impression", "search", "cancellation"))
"""Event types by which a user chose an item. Histories consist of them. Impressions were shown, not chosen; searches
and cancellations express no preference."""

SEGMENTS: Final = ("lapsed", "new", "loyal", "buyer", "browser")
"""Values of `user_profiles.segment`, in the order in which `spark_jobs/recommending/build_profiles.py` tests them."""

TABLES: Final = {
    table.name: table
    for table in (
        EVENTS,
        QUARANTINE,
        RECONCILIATION,
        ITEMS,
        USERS,
        SPLITS,
        SEQUENCES,
        USER_PROFILES,
        RECOMMENDATIONS,
        FALLBACK_RECOMMENDATIONS,
        SIMILAR_ITEMS,
        NEXT_ITEMS,
        SEARCH_RESULTS,
        SEARCH_SUGGESTIONS,
        PURCHASE_INTENT,
        AUDIENCES,
        DEMAND_OUTLOOK,
    )
}
"""Every table of the lake by name."""

__all__ = ["CHOSEN_TYPES", "EVENT_TYPES", "SEGMENTS", "TABLES", "Column", "DataType", "Table"]
