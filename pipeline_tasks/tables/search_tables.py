"""Contracts of the tables behind a shop's search box (gold)."""

from pipeline_tasks.tables.table_contract import DS, ITEM, MODEL, RANK, Table, column

SEARCH_RESULTS = Table(
    "search_results",
    "gold",
    "results of the most frequent queries: for everybody, and in a personal order for users who searched them",
    (
        column("query", "string", "normalized search text, as events.query"),
        column("user_key", "string", "a user who searched this; NULL: the order for everybody else", nullable=True),
        RANK,
        ITEM,
        column("score", "double", "reciprocal rank fusion: the sum of 1 / (60 + rank) over words, meaning and taste"),
        column("reason", "string", "the reason, in words that can be shown"),
        MODEL,
        DS,
    ),
    ("ds", "query", "user_key", "rank"),
)
SEARCH_SUGGESTIONS = Table(
    "search_suggestions",
    "gold",
    "what to offer while a user types: the most frequent queries that begin with the prefix",
    (
        column("prefix", "string", "what was typed, normalized as events.query"),
        RANK,
        column("query", "string", "begins with the prefix"),
        column("searches", "long", "how often it was searched in the window"),
        DS,
    ),
    ("ds", "prefix", "rank"),
)
