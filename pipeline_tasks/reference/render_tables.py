"""Renders docs/reference/tables.md from the contracts of the tables."""

from typing import Final

from pipeline_tasks.tables.contracts import TABLES, Table

_INTRODUCTION: Final = """# Tables

Every source (one shop's log) is a schema of its own. Without a schema name, `nightshelf sql` reads the nightly
source's. Every table is an Iceberg table of plain Parquet, partitioned by the day `ds`. The day is that of the source's
time zone, UTC where it names none. Times are UTC in all tables. A run replaces whole days of a table, and all tables of
a step change at once: a reader sees the earlier run or the new one
([serving](../guides/serving.md#read-all-tables-of-one-run) names the catalogs that cannot do this). Join tables by
`ds`. DuckDB, Spark, Trino, Snowflake, Athena and any other engine that reads Iceberg can read them.

`python -m pipeline_tasks.reference` renders this page from `pipeline_tasks/tables/contracts.py`.
"""

QUERIES: Final[dict[str, str]] = {
    "events": "SELECT event_type, count(*) AS events, count(DISTINCT user_key) AS users FROM events GROUP BY ALL",
    "quarantine": "SELECT ds, rule, count(*) AS records, any_value(raw) AS example FROM quarantine GROUP BY ALL",
    "reconciliation": "SELECT ds, outcome, sum(rows) AS rows FROM reconciliation GROUP BY ALL ORDER BY ds, outcome",
    "items": "SELECT category, count(*) AS items FROM items WHERE ds = (SELECT max(ds) FROM items) GROUP BY ALL",
    "users": "SELECT user_key, first_seen, last_seen, attributes FROM users LIMIT 10",
    "splits": "SELECT ds, strategy, train_end, validation_end, train_events, test_events FROM splits",
    "sequences": "SELECT sequence_key, len(item_ids) AS length FROM sequences ORDER BY length DESC LIMIT 10",
    "user_profiles": (
        "SELECT segment, cluster, count(*) AS users, avg(monetary) AS spent, mode(top_categories[1]) AS likes "
        "FROM user_profiles GROUP BY ALL ORDER BY ALL"
    ),
    "recommendations": (
        "SELECT r.user_key, r.rank, i.title, r.score, r.reason "
        "FROM recommendations r JOIN items i USING (ds, item_id) ORDER BY user_key, rank LIMIT 20"
    ),
    "fallback_recommendations": (
        "SELECT f.segment, f.rank, i.title FROM fallback_recommendations f JOIN items i USING (ds, item_id) "
        "WHERE f.rank <= 3 ORDER BY segment, rank"
    ),
    "similar_items": (
        "SELECT i.title, s.rank, o.title AS similar FROM similar_items s JOIN items i USING (ds, item_id) "
        "JOIN items o ON o.ds = s.ds AND o.item_id = s.similar_item_id ORDER BY s.item_id, rank LIMIT 20"
    ),
    "next_items": (
        "SELECT i.title, n.rank, o.title AS next, n.score FROM next_items n JOIN items i USING (ds, item_id) "
        "JOIN items o ON o.ds = n.ds AND o.item_id = n.next_item_id ORDER BY n.item_id, rank LIMIT 20"
    ),
    "search_results": (
        "SELECT r.query, r.rank, i.title, r.reason FROM search_results r JOIN items i USING (ds, item_id) "
        "WHERE r.user_key IS NULL AND r.rank <= 3 ORDER BY r.query, r.rank LIMIT 20"
    ),
    "search_suggestions": (
        "SELECT prefix, rank, query, searches FROM search_suggestions WHERE len(prefix) = 1 "
        "ORDER BY prefix, rank LIMIT 20"
    ),
    "purchase_intent": (
        "SELECT user_key, probability FROM purchase_intent WHERE category = 'any' ORDER BY probability DESC LIMIT 10"
    ),
    "audiences": (
        "SELECT a.target, a.rank, a.user_key, round(a.score, 2) AS score FROM audiences a "
        "WHERE a.target_type = 'category' AND a.rank <= 3 ORDER BY a.target, a.rank LIMIT 20"
    ),
    "demand_outlook": (
        "SELECT i.title, d.horizon_days, d.expected, d.low, d.high FROM demand_outlook d "
        "JOIN items i USING (ds, item_id) ORDER BY d.expected DESC LIMIT 10"
    ),
}
"""A query for each table, run by the end-to-end test."""


def _render_table(table: Table) -> str:
    """Return the section of one table as Markdown."""
    rows = [f"| `{c.name}` | {c.dtype} | {'yes' if c.nullable else 'no'} | {c.doc} |" for c in table.columns]
    key = ", ".join(f"`{name}`" for name in table.key) or "none"
    return "\n".join(
        [
            f"## {table.name} ({table.layer})",
            f"{table.doc[0].upper()}{table.doc[1:]}. Key: {key}.",
            "",
            "| column | type | may be NULL | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "```sh",
            f'nightshelf sql "{QUERIES[table.name]}"',
            "```",
            "",
        ]
    )


def render_tables() -> str:
    """Return the page of all tables."""
    return "\n".join([_INTRODUCTION, *(_render_table(table) for table in TABLES.values())])
