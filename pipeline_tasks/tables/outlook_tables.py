"""Contracts of the tables that look ahead: who will buy, whom to show what, and how much will be asked for (gold)."""

from pipeline_tasks.tables.table_contract import DS, ITEM, MODEL, RANK, USER, Table, column

PURCHASE_INTENT = Table(
    "purchase_intent",
    "gold",
    "how likely a user is to buy in the next 7 days: anything, and in each category of their recent events",
    (
        USER,
        column("category", "string", "'any', or the category path of the purchase"),
        column("probability", "double", "of at least one purchase in the 7 days after ds, 0 to 1"),
        DS,
    ),
    ("ds", "user_key", "category"),
)
AUDIENCES = Table(
    "audiences",
    "gold",
    "the users to whom an item or a category should be shown",
    (
        column("target_type", "string", "'item' or 'category'"),
        column("target", "string", "item_id, or category path"),
        RANK,
        USER,
        column("score", "double", "log of the target's share of the user's softmax over the catalog"),
        MODEL,
        DS,
    ),
    ("ds", "target_type", "target", "rank"),
)
DEMAND_OUTLOOK = Table(
    "demand_outlook",
    "gold",
    "how many purchases to expect of an item over the next 7 and 14 days",
    (
        ITEM,
        column("horizon_days", "int", "7 or 14 days after ds"),
        column("expected", "double", "purchases, the mean of the forecast"),
        column("low", "double", "80 % of outcomes are expected from low to high"),
        column("high", "double", "upper end of the interval"),
        DS,
    ),
    ("ds", "item_id", "horizon_days"),
)
