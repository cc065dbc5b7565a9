"""Suites of the forecast tables: purchase intent, audiences and demand."""

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import (
    LARGEST_SCORE,
    SCORING,
    best_first,
    between,
    contract_rules,
    in_set,
    no_rows_from,
    not_empty,
    ranks_without_gaps,
    rows_satisfy,
)

_NO_BETTER_THAN_CHANCE = (
    "SELECT value FROM manifest_facts WHERE name = 'intent_auc' AND try_cast(value AS DOUBLE) < 0.5 UNION ALL "
    "SELECT l.value FROM manifest_facts l JOIN manifest_facts b ON l.name = 'intent_log_loss' "
    "AND b.name = 'intent_base_log_loss' WHERE try_cast(l.value AS DOUBLE) >= try_cast(b.value AS DOUBLE) "
    # The table may be empty; besides, Great Expectations requires every query to use its batch.
    "AND (SELECT count(*) FROM {batch}) > 0"
)


def purchase_intent_suite() -> list[Expectation]:
    """Return the suite of `purchase_intent`. It is empty where the log is too short to learn; the facts then say so."""
    return [
        *contract_rules("purchase_intent"),
        between("probability", 0, 1, SCORING),
        no_rows_from(
            "every user with history has the probability of any purchase (unless nothing could be learned)",
            "SELECT DISTINCT user_key FROM sequences ANTI JOIN (SELECT user_key FROM {batch} WHERE category = 'any') "
            "USING (user_key) WHERE user_key IS NOT NULL AND (SELECT count(*) FROM {batch}) > 0",
            "user_key",
            SCORING,
        ),
        no_rows_from(
            "last week's purchases were predicted better than by chance and by their base rate",
            _NO_BETTER_THAN_CHANCE,
            "probability",
            "Use purchase_intent with care: this log does not let purchases be predicted. Choose a longer window.",
            "warning",
        ),
    ]


_NO_ITEM_TO_SHOW = (
    # The joins start at the few rows of categories, because there are many users and purchases.
    "SELECT user_key, target FROM (SELECT DISTINCT user_key, target, item_id FROM {batch} JOIN "
    "(SELECT user_key, item_id FROM opt_outs UNION ALL SELECT user_key, item_id FROM already_taken) "
    "USING (user_key) JOIN items USING (item_id) SEMI JOIN (SELECT item_id FROM item_rules WHERE allowed) "
    "USING (item_id) WHERE target_type = 'category' AND target = category) "
    "JOIN (SELECT category AS target, count(*) AS shown FROM items SEMI JOIN (SELECT item_id FROM item_rules "
    "WHERE allowed) USING (item_id) GROUP BY category) USING (target) "
    "GROUP BY user_key, target, shown HAVING count(*) = shown"
)


def audiences_suite() -> list[Expectation]:
    """Return the suite of `audiences`: the users to whom an item or a category should be shown."""
    return [
        *contract_rules("audiences"),
        in_set("target_type", ("item", "category"), SCORING),
        between("score", -LARGEST_SCORE, LARGEST_SCORE, SCORING),
        ranks_without_gaps("target_type, target", "user_key"),
        best_first("target_type, target"),
        no_rows_from(
            "every item is one that may be shown, every category is in the catalog",
            "SELECT target FROM {batch} WHERE target_type = 'item' AND target NOT IN "
            "(SELECT item_id FROM item_rules WHERE allowed) UNION ALL SELECT target FROM {batch} "
            "WHERE target_type = 'category' AND target NOT IN (SELECT category FROM items WHERE category IS NOT NULL)",
            "target",
            SCORING,
        ),
        no_rows_from(
            "no user is in the audience of an item that they bought recently, opted out of, or already have where "
            "that is excluded",
            "SELECT user_key, target FROM {batch} JOIN already_taken USING (user_key) "
            "WHERE target_type = 'item' AND target = item_id UNION ALL SELECT user_key, target FROM {batch} "
            "JOIN opt_outs USING (user_key) WHERE item_id IS NULL OR (target_type = 'item' AND target = item_id)",
            "user_key",
            SCORING,
        ),
        no_rows_from(
            "no user is in the audience of a category without an item that they may be shown",
            _NO_ITEM_TO_SHOW,
            "user_key",
            SCORING,
        ),
    ]


def demand_outlook_suite() -> list[Expectation]:
    """Return the suite of `demand_outlook`: expected purchases of every item, for both horizons."""
    return [
        *contract_rules("demand_outlook"),
        not_empty(SCORING),
        between("expected", 0, LARGEST_SCORE, SCORING),
        rows_satisfy(
            "low <= expected <= high, low at least 0",
            "0 <= low AND low <= expected AND expected <= high",
            "low",
            SCORING,
        ),
        rows_satisfy("the horizon is 7 or 14 days", "horizon_days IN (7, 14)", "horizon_days", SCORING),
        no_rows_from(
            "every item of the catalog has both horizons",
            "SELECT item_id FROM items LEFT JOIN {batch} USING (item_id) GROUP BY item_id "
            "HAVING count(horizon_days) <> 2",
            "item_id",
            SCORING,
        ),
    ]
