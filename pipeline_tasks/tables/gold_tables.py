"""Contracts of the tables that the shop's applications query (gold): recommendations, search and forecasts."""

from pipeline_tasks.tables.table_contract import DS, ITEM, MODEL, RANK, USER, Table, column

USER_PROFILES = Table(
    "user_profiles",
    "gold",
    "one user's segment, tastes and habits, from their events",
    (
        USER,
        column("segment", "string", "lapsed, new, loyal, buyer or browser: key of fallback_recommendations.segment"),
        column("cluster", "int", "taste group: K-means over user vectors, 1 is the largest", nullable=True),
        column("recency_days", "int", "days since the last event"),
        column("frequency", "long", "distinct active days in the window"),
        column("monetary", "double", "sum of price * quantity of purchases in the window"),
        column("rfm", "string", "three digits 1 to 5, 5 the best fifth: recency, frequency, monetary"),
        column("events", "long", "events in the window"),
        column("top_categories", "array<string>", "up to 5, by weighted events"),
        column("category_interest", "array<double>", "share of each in the user's weighted events"),
        column("top_brands", "array<string>", "up to 5, by weighted events"),
        column("brand_interest", "array<double>", "share of each in the user's weighted events"),
        column(
            "price_band",
            "string",
            "third of all prices in which the user's median lies: low, middle or high",
            nullable=True,
        ),
        column(
            "preferred_hours",
            "array<long>",
            "up to 3 hours of the day with most events, by the source's clock, the busiest first",
        ),
        DS,
    ),
    ("ds", "user_key"),
    example=(
        "SELECT segment, cluster, count(*) AS users, avg(monetary) AS spent, mode(top_categories[1]) AS likes "
        "FROM user_profiles GROUP BY ALL ORDER BY ALL"
    ),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "gold",
    "the recommendations of every user with a history",
    (
        USER,
        RANK,
        ITEM,
        column("score", "double", "the model's score of the item for the user; the arm's rules decide the order"),
        column("reason", "string", "the reason, in words that can be shown"),
        column("arm", "string", "the user's A/B arm in the business rules"),
        MODEL,
        DS,
    ),
    ("ds", "user_key", "rank"),
    example=(
        "SELECT r.user_key, r.rank, i.title, r.score, r.reason "
        "FROM recommendations r JOIN items i USING (ds, item_id) ORDER BY user_key, rank LIMIT 20"
    ),
)
FALLBACK_RECOMMENDATIONS = Table(
    "fallback_recommendations",
    "gold",
    "recommendations for each segment and for everyone, for new and anonymous users",
    (
        column("segment", "string", "each value of user_profiles.segment, also one without users, and 'everyone'"),
        RANK,
        ITEM,
        column("score", "double", "share of the segment's recent interactions"),
        column("reason", "string", "the reason, in words that can be shown"),
        MODEL,
        DS,
    ),
    ("ds", "segment", "rank"),
    example=(
        "SELECT f.segment, f.rank, i.title FROM fallback_recommendations f JOIN items i USING (ds, item_id) "
        "WHERE f.rank <= 3 ORDER BY segment, rank"
    ),
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
    example=(
        "SELECT i.title, s.rank, o.title AS similar FROM similar_items s JOIN items i USING (ds, item_id) "
        "JOIN items o ON o.ds = s.ds AND o.item_id = s.similar_item_id ORDER BY s.item_id, rank LIMIT 20"
    ),
)
NEXT_ITEMS = Table(
    "next_items",
    "gold",
    "what a visitor is likely to want after one known item, or what completes the basket that holds it",
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
    example=(
        "SELECT i.title, n.rank, o.title AS next, n.score FROM next_items n JOIN items i USING (ds, item_id) "
        "JOIN items o ON o.ds = n.ds AND o.item_id = n.next_item_id ORDER BY n.item_id, rank LIMIT 20"
    ),
)
SEARCH_RESULTS = Table(
    "search_results",
    "gold",
    "results of the most frequent queries: for everyone, and in a personal order for users who searched them",
    (
        column("query", "string", "normalized search text, as events.query"),
        column("user_key", "string", "a user who searched this; NULL: the order for everyone else", nullable=True),
        RANK,
        ITEM,
        column("score", "double", "reciprocal rank fusion: the sum of 1 / (60 + rank) over words, meaning and taste"),
        column("reason", "string", "the reason, in words that can be shown"),
        MODEL,
        DS,
    ),
    ("ds", "query", "user_key", "rank"),
    example=(
        "SELECT r.query, r.rank, i.title, r.reason FROM search_results r JOIN items i USING (ds, item_id) "
        "WHERE r.user_key IS NULL AND r.rank <= 3 ORDER BY r.query, r.rank LIMIT 20"
    ),
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
    example=(
        "SELECT prefix, rank, query, searches FROM search_suggestions WHERE len(prefix) = 1 "
        "ORDER BY prefix, rank LIMIT 20"
    ),
)
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
    example=(
        "SELECT user_key, probability FROM purchase_intent WHERE category = 'any' ORDER BY probability DESC LIMIT 10"
    ),
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
    example=(
        "SELECT a.target, a.rank, a.user_key, round(a.score, 2) AS score FROM audiences a "
        "WHERE a.target_type = 'category' AND a.rank <= 3 ORDER BY a.target, a.rank LIMIT 20"
    ),
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
    example=(
        "SELECT i.title, d.horizon_days, d.expected, d.low, d.high FROM demand_outlook d "
        "JOIN items i USING (ds, item_id) ORDER BY d.expected DESC LIMIT 10"
    ),
)
