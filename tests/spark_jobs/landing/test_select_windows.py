"""Window functions of `select` work on one day of delivery, whether days arrive together or apart."""

from datetime import date, timedelta

import pytest

from tests.spark_jobs.one_shop import CLICKS, DAY, ShopFixture

pytestmark = pytest.mark.spark

SELECT = 'select = ["* EXCEPT (visit)", "\'v\' || row_number() OVER (PARTITION BY who ORDER BY time) AS visit"]\n'


def visits(shop: ShopFixture) -> list[tuple[date, str, str]]:
    return [(row["ds"], row["user_key"], row["session_id"]) for row in shop.rows("events")]


def test_window_functions_give_the_same_for_days_delivered_together_or_apart(shop: ShopFixture) -> None:
    days = [DAY - timedelta(2), DAY - timedelta(1), DAY]
    for day in days:
        shop.deliver(*(f"{day}T0{n}:00:00Z,view,P{n},{who},s1,,," for n in (8, 9) for who in ("ann", "bob")), day=day)
    shop.describe(CLICKS.replace("[events]\n", f"[events]\n{SELECT}", 1))
    shop.run(window_days=3)
    together = visits(shop)
    assert sorted(together) == [(day, who, visit) for day in days for who in ("ann", "bob") for visit in ("v1", "v2")]
    shop.describe(CLICKS.replace("[events]\n", f"[events]\n{SELECT}", 1).replace('"clicks"', '"apart"'))
    for day in days:
        shop.run(day)
    assert visits(shop) == together
