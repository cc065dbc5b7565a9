"""Contracts of the tables behind a shop's search box (gold)."""

from pipeline_tasks.tables.table_contract import DS, ITEM, MODEL, RANK, Table, column

SEARCH_RESULTS = Table(
    "search_results",
    "gold",
    "what the night's top queries find: for everybody, and in their own order for the shoppers who asked",
    (
        column("query", "string", "normalized search text, as events.query"),
        column("user_key", "string", "a shopper who asked this; NULL: the order for everybody else", nullable=True),
        RANK,
        ITEM,
        column("score", "double", "reciprocal rank fusion: the sum of 1 / (60 + rank) over words, meaning and taste"),
        column("reason", "string", "why, in words a shopper could read"),
        MODEL,
        DS,
    ),
    ("ds", "query", "user_key", "rank"),
)
SEARCH_SUGGESTIONS = Table(
    "search_suggestions",
    "gold",
    "what to offer while a shopper types: the most asked queries that begin so",
    (
        column("prefix", "string", "what was typed, normalized as events.query"),
        RANK,
        column("query", "string", "begins with the prefix"),
        column("searches", "long", "how often it was asked in the window"),
        DS,
    ),
    ("ds", "prefix", "rank"),
)
