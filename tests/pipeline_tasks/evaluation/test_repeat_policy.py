from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import build_tasks
from pipeline_tasks.evaluation.repeat_policy import (
    RepeatPolicy,
    choose_repeat_policy,
    policy_excluded_items,
    repeat_share,
    repeat_shares,
)
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY
from tests.pipeline_tasks.logs import log_of

NEVER = {f"u{n}": [(n, 1), (n + 1, 2), (n + 2, 3)] for n in range(40)}
AGAIN = {f"u{n}": [(n, 1), (n + 1, 2), (n, 3)] for n in range(40)}
SCORING = ScoringSettings(exclude_purchased_days=5)


def typed(histories: dict[str, list[tuple[int, int, str]]]) -> Interactions:
    """Return the log of key -> [(item, day, event type), …]."""
    log = log_of({key: [(item, day) for item, day, _ in own] for key, own in histories.items()})
    kinds = [CHOSEN_TYPES.index(kind) for own in histories.values() for *_, kind in own]
    return replace(log, types=np.array(kinds, dtype=np.int64))


@pytest.mark.parametrize(
    ("kind", "excluded"),
    [
        ("purchase", ("purchase", "rating")),
        ("rating", ("purchase", "rating")),
        ("cart", ("cart",)),
        ("view", ("view", "click")),
        ("click", ("view", "click")),
    ],
)
def test_the_strongest_type_is_excluded_where_no_user_repeats(kind: str, excluded: tuple[str, ...]) -> None:
    never = choose_repeat_policy(log_of(NEVER, kind), SCORING)
    assert set(never.excluded_types) == set(excluded)
    assert (never.repeat_share, never.exclude_purchased_days) == (0, 5)
    again = choose_repeat_policy(log_of(AGAIN, kind), SCORING)
    assert again == RepeatPolicy((), 5, 0.5)


@pytest.mark.parametrize(("repeats", "excluded"), [(1, True), (2, False)])
def test_the_repeat_bound_is_one_in_fifty(repeats: int, excluded: bool) -> None:
    # 50 users with one later event each: a share of .02 for each who takes the first item again.
    log = log_of({f"u{n}": [(n, 1), (n if n < repeats else n + 1, 2)] for n in range(51)})
    assert (choose_repeat_policy(log, SCORING).excluded_types != ()) is excluded


def test_a_rating_of_a_purchase_is_no_repeat() -> None:
    acts = ((0, "purchase"), (2, "rating"))
    own = [(item, 5 * item + day, kind) for item in range(3) for day, kind in acts]
    reviewed = typed({f"u{n}": own for n in range(9)})
    assert repeat_share(reviewed) == 0
    assert choose_repeat_policy(reviewed, SCORING).excluded_types == ("purchase", "rating")


def test_views_and_sessions_do_not_count_where_users_purchase() -> None:
    own = [(0, 1, "view"), (0, 2, "view"), (0, 3, "purchase"), (1, 4, "view"), (1, 5, "view"), (1, 6, "purchase")]
    looked = typed({f"u{n}": own for n in range(5)})
    assert repeat_shares(looked) == {"view": pytest.approx(2 / 3), "purchase": 0}
    assert choose_repeat_policy(looked, SCORING).excluded_types == ("purchase", "rating")
    many = log_of({f"session:{n}": [(n, 1), (n + 1, 2), (n + 2, 3)] for n in range(400)} | {"ann": [(0, 1), (0, 2)]})
    assert choose_repeat_policy(many, SCORING).excluded_types == ()
    baskets = log_of({f"session:{n}": [(n, 1), (n + 1, 1)] for n in range(9)})
    assert choose_repeat_policy(baskets, SCORING).excluded_types == ("purchase", "rating")


def test_settings_override_the_log_by_event_type() -> None:
    never, again = log_of(NEVER), log_of(AGAIN)
    allowed = ScoringSettings(repeat_policy={"purchase": "allowed"})
    assert choose_repeat_policy(never, allowed).excluded_types == ("rating",)
    excluded = ScoringSettings(repeat_policy={"purchase": "excluded", "cart": "excluded"})
    assert set(choose_repeat_policy(again, excluded).excluded_types) == {"purchase", "cart"}
    with pytest.raises(ValidationError, match="repeat_policy has unknown favorite: the event types are view"):
        ScoringSettings.model_validate({"repeat_policy": {"favorite": "excluded"}})
    with pytest.raises(ValidationError, match="'excluded' or 'allowed'"):
        ScoringSettings.model_validate({"repeat_policy": {"rating": "never"}})


def test_a_saved_policy_loads_unchanged() -> None:
    policy = RepeatPolicy(("rating",), 30, 0.01)
    assert RepeatPolicy.from_facts(policy.as_facts()) == policy


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (RepeatPolicy(("cart",), 0, 0.0), "a cart of is excluded, unless it is replenishable (repeat share 0.0%)"),
        (RepeatPolicy((), 30), "the user bought within 30 days is excluded, unless it is replenishable"),
        (RepeatPolicy(), "nothing that the user already has is excluded"),
        (RepeatPolicy(("rating",), 9), "the user has a rating of or bought within 9 days is excluded"),
        (RepeatPolicy(("purchase", "rating"), 9), "the user has a purchase or rating of is excluded"),
    ],
)
def test_a_policy_is_described_in_words(policy: RepeatPolicy, words: str) -> None:
    assert words in policy.describe()


def test_excluded_types_and_recent_purchases_exclude_items() -> None:
    log = typed({"a": [(0, 1, "rating"), (1, 2, "purchase"), (2, 9, "purchase"), (3, 9, "view"), (4, 9, "purchase")]})
    is_replenishable = np.arange(6) == 4

    def taken(*types: str, days: int) -> list[int]:
        since = np.array([(10 - days) * DAY])
        found: list[int] = policy_excluded_items(
            log, RepeatPolicy(types, days), since, is_replenishable, 6
        ).indices.tolist()
        return found

    assert taken(days=0) == []
    assert taken(days=1) == [2]
    assert taken(days=8) == [1, 2]
    assert taken("rating", days=1) == [0, 2]
    assert taken("purchase", "view", days=0) == [1, 2, 3]


def test_the_served_task_masks_excluded_items() -> None:
    log = log_of({"a": [(0, 1), (1, 2), (2, 3), (0, 9), (3, 9)], "b": [(0, 1), (1, 2), (2, 3), (0, 9), (0, 10)]})
    parts = split_parts(log, {"strategy": "per_user"})
    known: Any = parts.known_before("test")
    with pytest.raises(ValueError, match="the goal served needs the items"):
        build_tasks(parts, "test", ("served",), 4)
    taken = policy_excluded_items(known, RepeatPolicy(("purchase",)), np.full(2, 99 * DAY), np.zeros(4, bool), 4)
    served, discovery = build_tasks(parts, "test", ("served", "discovery"), 4, taken=taken)
    assert served.name == "served_test"
    assert served.histories.keys == discovery.histories.keys == ["a"]
    assert (served.masked != discovery.masked).nnz == 0
