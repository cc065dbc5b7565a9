"""The contract of every table: its columns and their allowed values.

Jobs, gates, model and tests import from here. A table is described in one neutral form (`Table`), which
`pipeline_tasks.tables.schemas` renders as Spark DDL, a pyarrow schema or an Iceberg schema.
"""

from typing import Final

from pipeline_tasks.tables import gold_tables, silver_tables
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
    for module in (silver_tables, gold_tables)
    for table in vars(module).values()
    if isinstance(table, Table)
}
"""Every table of the lake by name: all that `silver_tables` and `gold_tables` declare, in their order."""

__all__ = ["CHOSEN_TYPES", "EVENT_TYPES", "SEGMENTS", "TABLES", "Column", "DataType", "Table"]
