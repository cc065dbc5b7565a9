"""Every column name and every table schema, declared once.

Jobs, gates, model and tests import from here; a table is described in one neutral form (`Table`) and rendered as
Spark DDL, a pyarrow schema or an Iceberg schema by `pipeline_tasks.tables.schemas`.
"""

from typing import Final

from pipeline_tasks.tables.gold_tables import FALLBACK_RECOMMENDATIONS, RECOMMENDATIONS, SIMILAR_ITEMS, USER_PROFILES
from pipeline_tasks.tables.outlook_tables import AUDIENCES, DEMAND_OUTLOOK, PURCHASE_INTENT
from pipeline_tasks.tables.search_tables import SEARCH_RESULTS, SEARCH_SUGGESTIONS
from pipeline_tasks.tables.silver_tables import EVENTS, ITEMS, QUARANTINE, RECONCILIATION, SEQUENCES, SPLITS, USERS
from pipeline_tasks.tables.table_contract import Column, DataType, Table


class Columns:
    """The standard names. `ds` is the day (UTC) that a row belongs to, and the partition of every table."""

    DS: Final = "ds"
    EVENT_ID: Final = "event_id"
    USER_KEY: Final = "user_key"
    SESSION_ID: Final = "session_id"
    EVENT_TYPE: Final = "event_type"
    ITEM_ID: Final = "item_id"
    QUERY: Final = "query"
    DWELL_SECONDS: Final = "dwell_seconds"
    PRICE: Final = "price"
    QUANTITY: Final = "quantity"
    POSITION: Final = "position"
    ARM: Final = "arm"
    TS: Final = "ts"
    SEGMENT: Final = "segment"
    RANK: Final = "rank"
    SCORE: Final = "score"
    REASON: Final = "reason"
    MODEL_VERSION: Final = "model_version"


EVENT_TYPES: Final = ("impression", "view", "click", "cart", "purchase", "rating", "search", "cancellation")
"""What `events.event_type` may hold. A cancellation is a ledger entry: it is netted when sequences are built."""

SEGMENTS: Final = ("lapsed", "new", "loyal", "buyer", "browser")
"""What `user_profiles.segment` may hold, in the order in which they are decided (`spark_jobs/build_profiles.py`)."""

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
        SEARCH_RESULTS,
        SEARCH_SUGGESTIONS,
        PURCHASE_INTENT,
        AUDIENCES,
        DEMAND_OUTLOOK,
    )
}
"""Every table of the lake by name."""

__all__ = ["EVENT_TYPES", "SEGMENTS", "TABLES", "Column", "Columns", "DataType", "Table"]
