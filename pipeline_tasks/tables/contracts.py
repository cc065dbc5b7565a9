"""Every table, its columns and what they may hold, declared once.

Jobs, gates, model and tests import from here; a table is described in one neutral form (`Table`) and rendered as
Spark DDL, a pyarrow schema or an Iceberg schema by `pipeline_tasks.tables.schemas`.
"""

from typing import Final

from pipeline_tasks.tables.gold_tables import (
    FALLBACK_RECOMMENDATIONS,
    NEXT_ITEMS,
    RECOMMENDATIONS,
    SIMILAR_ITEMS,
    USER_PROFILES,
)
from pipeline_tasks.tables.outlook_tables import AUDIENCES, DEMAND_OUTLOOK, PURCHASE_INTENT
from pipeline_tasks.tables.search_tables import SEARCH_RESULTS, SEARCH_SUGGESTIONS
from pipeline_tasks.tables.silver_tables import EVENTS, ITEMS, QUARANTINE, RECONCILIATION, SEQUENCES, SPLITS, USERS
from pipeline_tasks.tables.table_contract import Column, DataType, Table

EVENT_TYPES: Final = ("impression", "view", "click", "cart", "purchase", "rating", "search", "cancellation")
"""What `events.event_type` may hold. A cancellation is a ledger entry: it is netted when sequences are built."""

CHOSEN_TYPES: Final = tuple(name for name in EVENT_TYPES if name not in ("impression", "search", "cancellation"))
"""Event types that say a user wanted the item, and that histories are made of: an impression was shown, not chosen;
a search and a cancellation name no liking."""

SEGMENTS: Final = ("lapsed", "new", "loyal", "buyer", "browser")
"""Values of `user_profiles.segment`, in the order in which `spark_jobs/recommending/build_profiles.py` decides."""

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
