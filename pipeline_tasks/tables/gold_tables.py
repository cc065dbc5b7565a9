"""Contracts of the tables that the shop's applications query (gold)."""

from pipeline_tasks.tables.table_contract import DS, ITEM, MODEL, RANK, USER, Table, column

USER_PROFILES = Table(
    "user_profiles",
    "gold",
    "what a shopper's behavior says of them",
    (
        USER,
        column("segment", "string", "lapsed, new, loyal, buyer or browser: key of fallback_recommendations.segment"),
        column("cluster", "int", "group of taste: K-means over user vectors, 1 the largest", nullable=True),
        column("recency_days", "int", "days since the last event"),
        column("frequency", "long", "distinct active days in the window"),
        column("monetary", "double", "sum of price * quantity of purchases in the window"),
        column("rfm", "string", "three digits 1 to 5, 5 the best fifth: recency, frequency, monetary"),
        column("events", "long", "events in the window"),
        column("top_categories", "array<string>", "up to 5, by weighted events"),
        column("category_interest", "array<double>", "of each: its share of the shopper's weighted events"),
        column("top_brands", "array<string>", "up to 5, by weighted events"),
        column("brand_interest", "array<double>", "of each: its share of the shopper's weighted events"),
        column("price_band", "string", "low, middle or high third of the prices they touch", nullable=True),
        column(
            "preferred_hours",
            "array<long>",
            "up to 3 hours of the day with most events, by the source's clock, the busiest first",
        ),
        DS,
    ),
    ("ds", "user_key"),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "gold",
    "the shelf of every shopper with history",
    (
        USER,
        RANK,
        ITEM,
        column("score", "double", "the model's score of the item for the shopper; the order is the arm's"),
        column("reason", "string", "why, in words a shopper could read"),
        column("arm", "string", "A/B arm of the shelf rules that the shopper is in"),
        MODEL,
        DS,
    ),
    ("ds", "user_key", "rank"),
)
FALLBACK_RECOMMENDATIONS = Table(
    "fallback_recommendations",
    "gold",
    "a shelf for each segment and for nobody in particular (segment 'everyone'): new and anonymous shoppers",
    (
        column("segment", "string", "each of user_profiles.segment, be it somebody's tonight or not, and 'everyone'"),
        RANK,
        ITEM,
        column("score", "double", "share of the segment's recent interactions"),
        column("reason", "string", "why, in words a shopper could read"),
        MODEL,
        DS,
    ),
    ("ds", "segment", "rank"),
)
SIMILAR_ITEMS = Table(
    "similar_items",
    "gold",
    "the nearest items of each item by the model's item vectors",
    (
        ITEM,
        RANK,
        column("similar_item_id", "string", "never the item itself"),
        column("score", "double", "cosine of the item vectors"),
        MODEL,
        DS,
    ),
    ("ds", "item_id", "rank"),
)
NEXT_ITEMS = Table(
    "next_items",
    "gold",
    "what a visitor wants next of whom nothing but one item is known, or what completes the basket that it lies in",
    (
        ITEM,
        RANK,
        column("next_item_id", "string", "never the item itself"),
        column(
            "score",
            "double",
            "by how much the model puts it above the best item that is not listed; for several items, add up",
        ),
        MODEL,
        DS,
    ),
    ("ds", "item_id", "rank"),
)
