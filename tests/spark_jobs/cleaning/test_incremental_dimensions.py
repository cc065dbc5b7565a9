"""A run that resumes from an earlier one builds the same `items` and `users` as one that reads all days."""

from datetime import date, timedelta
from typing import Any

import pytest

from spark_jobs.cleaning.incremental_dimensions import IncrementalDimensions
from tests.spark_jobs.one_shop import CLICKS, DAY, ShopFixture

pytestmark = pytest.mark.spark

WINDOW = 4
ANEW = (2, 4, 6)
"""Days that are cleaned a second time: one without a change, one with a late event, and the last."""
FIRST = DAY - timedelta(days=6)
LATE = FIRST + timedelta(days=3)
CLICKS_WITH_USERS = CLICKS + '[users]\n[users.columns]\nuser_key = "who"\n[users.attributes]\nvisit = "visit"\n'
DELIVERIES = (
    ("{0}T09:00:00Z,view,P1,ann,s1,1.00,,", "{0}T09:00:00Z,view,P2,bob,s2,2.00,,", "{0}T10:00:00Z,view,P2,bob,,2.50,,"),
    ("{0}T09:00:00Z,view,P1,bob,s3,,,", "{0}T09:00:00Z,view,P3,cat,s4,3.00,,"),
    ("{0}T09:00:00Z,view,P1,ann,s5,1.10,,", "{0}T09:00:00Z,hover,P4,cat,s6,,,"),
    ("{0}T09:00:00Z,purchase,P4,eve,s7,4.00,1,",),
    ("{0}T09:00:00Z,view,P3,eve,,3.30,,",),
    ("{0}T09:00:00Z,view,P5,ann,s9,5.00,,", "{0}T09:00:00Z,view,P5,dan,s8,,,"),
    ("{0}T09:00:00Z,view,P1,dan,,1.20,,",),
)


def deliver(shop: ShopFixture, number: int, *late: str) -> date:
    ds = FIRST + timedelta(days=number)
    shop.deliver(*(line.format(ds) for line in DELIVERIES[number]), *late, day=ds)
    return ds


def both(shop: ShopFixture) -> dict[str, list[dict[str, Any]]]:
    return {name: shop.rows(name) for name in ("items", "users")}


def test_a_resumed_run_equals_one_that_is_built_from_all_days(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.describe(CLICKS_WITH_USERS)
    went_on = []
    for number in range(len(DELIVERIES)):
        # The fifth run_shop brings a late event of the fourth.
        late = [f"{LATE}T08:00:00Z,view,P2,fay,s0,9.00,,"] if number == 4 else []
        went_on.append(shop.run(deliver(shop, number, *late), WINDOW).facts["continued_from"])
    before = [FIRST + timedelta(days=number - 1) for number in range(len(DELIVERIES))]
    # It cannot continue from the fourth, whose own day has changed since, but from the third.
    before[4] = FIRST + timedelta(days=2)
    assert went_on == ["", *map(str, before[1:])]
    tables = both(shop)
    last = {row["item_id"]: (row["last_price"], row["last_seen"]) for row in tables["items"] if row["ds"] == DAY}
    assert last == {
        "P1": (1.2, DAY),
        "P2": (9.0, LATE),
        "P3": (3.3, FIRST + timedelta(days=4)),
        "P4": (4.0, LATE),
        "P5": (last["P5"][0], FIRST + timedelta(days=5)),
    }
    monkeypatch.setattr(IncrementalDimensions, "resume", lambda dimensions, *_: dimensions)
    for number in ANEW:
        assert shop.clean(FIRST + timedelta(days=number), WINDOW).facts["continued_from"] == ""
    assert both(shop) == tables


def test_other_rules_or_another_mapping_read_all_days(shop: ShopFixture) -> None:
    shop.describe(CLICKS_WITH_USERS)
    for number in (0, 1):
        shop.run(deliver(shop, number), WINDOW)
    ds = deliver(shop, 2)
    shop.land(ds, WINDOW)
    assert shop.clean(ds, WINDOW, rules="bots").facts["continued_from"] == ""
    assert shop.clean(ds, WINDOW).facts["continued_from"] == str(FIRST + timedelta(days=1))
    shop.describe(CLICKS_WITH_USERS.replace('visit = "visit"\n', 'visit = "upper(visit)"\n'))
    assert shop.clean(ds, WINDOW).facts["continued_from"] == ""
    seen = {row["user_key"]: row["attributes"] for row in shop.rows("users") if row["ds"] == ds}
    assert seen["ann"] == '{"visit":"S5"}'


def test_a_longer_window_reads_all_days(shop: ShopFixture) -> None:
    shop.describe()
    for number in (0, 1):
        shop.run(deliver(shop, number), window_days=2)
    ds = deliver(shop, 2)
    assert shop.run(ds, window_days=5).facts["continued_from"] == ""
    assert shop.run(ds, window_days=2).facts["continued_from"] == str(FIRST + timedelta(days=1))
