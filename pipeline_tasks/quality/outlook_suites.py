"""Suites of the tables that look ahead."""

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, finds_nothing, in_set, satisfies, some_rows
from pipeline_tasks.quality.ranking_rules import ENDLESS, SCORING, best_first, ranked

_NO_BETTER_THAN_CHANCE = (
    "SELECT value FROM manifest_facts WHERE name = 'intent_auc' AND try_cast(value AS DOUBLE) < 0.5 UNION ALL "
    "SELECT l.value FROM manifest_facts l JOIN manifest_facts b ON l.name = 'intent_log_loss' "
    "AND b.name = 'intent_base_log_loss' WHERE try_cast(l.value AS DOUBLE) >= try_cast(b.value AS DOUBLE) "
    # Only of interest where there is a row, and Great Expectations wants every query to name its batch.
    "AND (SELECT count(*) FROM {batch}) > 0"
)


def purchase_intent_suite() -> list[Expectation]:
    """Probabilities; empty where the history is too short to learn them, which is said in the facts."""
    return [
        *contract_rules("purchase_intent"),
        between("probability", 0, 1, SCORING),
        finds_nothing(
            "every user with history has the probability of any purchase (or nothing could be learned)",
            "SELECT DISTINCT user_key FROM sequences ANTI JOIN (SELECT user_key FROM {batch} WHERE category = 'any') "
            "USING (user_key) WHERE user_key IS NOT NULL AND (SELECT count(*) FROM {batch}) > 0",
            "user_key",
            SCORING,
        ),
        finds_nothing(
            "last week's purchases were foreseen better than by chance and by their base rate",
            _NO_BETTER_THAN_CHANCE,
            "probability",
            "Sell with care: purchases of this log do not follow from the days before; lengthen the window.",
            "warning",
        ),
    ]


_NOTHING_OF_IT_TO_SHOW = (
    # From the few rows of categories on: users and what they bought are many.
    "SELECT user_key, target FROM (SELECT DISTINCT user_key, target, item_id FROM {batch} JOIN "
    "(SELECT user_key, item_id FROM opt_outs UNION ALL SELECT user_key, item_id FROM already_taken) "
    "USING (user_key) JOIN items USING (item_id) SEMI JOIN (SELECT item_id FROM shelf_rules WHERE allowed) "
    "USING (item_id) WHERE target_type = 'category' AND target = category) "
    "JOIN (SELECT category AS target, count(*) AS shown FROM items SEMI JOIN (SELECT item_id FROM shelf_rules "
    "WHERE allowed) USING (item_id) GROUP BY category) USING (target) "
    "GROUP BY user_key, target, shown HAVING count(*) = shown"
)


def audiences_suite() -> list[Expectation]:
    """Whom to show an item or a category to."""
    return [
        *contract_rules("audiences"),
        in_set("target_type", ("item", "category"), SCORING),
        between("score", -ENDLESS, ENDLESS, SCORING),
        ranked("target_type, target", "user_key"),
        best_first("target_type, target"),
        finds_nothing(
            "every item is one that may be shown, every category is in the catalog",
            "SELECT target FROM {batch} WHERE target_type = 'item' AND target NOT IN "
            "(SELECT item_id FROM shelf_rules WHERE allowed) UNION ALL SELECT target FROM {batch} "
            "WHERE target_type = 'category' AND target NOT IN (SELECT category FROM items WHERE category IS NOT NULL)",
            "target",
            SCORING,
        ),
        finds_nothing(
            "nobody is in the audience of what they bought recently, opted out of, or already have where that is "
            "excluded",
            "SELECT user_key, target FROM {batch} JOIN already_taken USING (user_key) "
            "WHERE target_type = 'item' AND target = item_id UNION ALL SELECT user_key, target FROM {batch} "
            "JOIN opt_outs USING (user_key) WHERE item_id IS NULL OR (target_type = 'item' AND target = item_id)",
            "user_key",
            SCORING,
        ),
        finds_nothing(
            "nobody is in the audience of a category all of whose items they may not be shown",
            _NOTHING_OF_IT_TO_SHOW,
            "user_key",
            SCORING,
        ),
    ]


def demand_outlook_suite() -> list[Expectation]:
    """Expected purchases of every item of the catalog, for both horizons."""
    return [
        *contract_rules("demand_outlook"),
        some_rows(SCORING),
        between("expected", 0, ENDLESS, SCORING),
        satisfies(
            "low <= expected <= high, low at least 0",
            "0 <= low AND low <= expected AND expected <= high",
            "low",
            SCORING,
        ),
        satisfies("the horizon is 7 or 14 days", "horizon_days IN (7, 14)", "horizon_days", SCORING),
        finds_nothing(
            "every item of the catalog has both horizons",
            "SELECT item_id FROM items LEFT JOIN {batch} USING (item_id) GROUP BY item_id "
            "HAVING count(horizon_days) <> 2",
            "item_id",
            SCORING,
        ),
    ]
