"""The items that an evaluation excludes, as the tables do.

tests/spark_jobs/test_evaluated_as_served.py compares both.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.candidates.served_task import replenishable_items, served_task
from pipeline_tasks.config.business_rules import ReplenishRules
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.item_catalog import ItemCatalog, make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import HOUR
from tests.pipeline_tasks.logs import log_of

# Four events each, of which the last is test and the one before it validation.
LOG = log_of({f"u{n}": [(0, 1), (0, 1), (n % 3, 20 + n), (3, 60)] for n in range(6)})
RULES = ReplenishRules(min_buyers=2, repurchase_share=0.3)


def catalog(*attributes: str | None) -> ItemCatalog:
    rows = [
        {"item_id": f"i{n}", "title": f"tea {n}", "attributes": described} for n, described in enumerate(attributes)
    ]
    return make_catalog(rows, [])


@pytest.fixture
def data() -> RunData:
    split = {"split_id": "s", "strategy": "leave_one_out"}
    return RunData(RunKey("shop", date(2026, 11, 20)), catalog(*[None] * 4), LOG, {}, split)


def test_an_item_that_enough_buyers_bought_on_two_days_is_replenishable() -> None:
    # All six bought i0 twice on one day, two of them on another day too; i1 and i2 were bought by two once.
    assert replenishable_items(RULES, catalog(*[None] * 4), LOG).tolist() == [True, False, False, False]
    assert not replenishable_items(RULES.model_copy(update={"repurchase_share": 0.4}), catalog(*[None] * 4), LOG).any()
    sessions = replace(LOG, known=np.zeros(6, bool))
    assert not replenishable_items(RULES, catalog(*[None] * 4), sessions).any()


def test_the_shops_attribute_determines_what_is_replenishable() -> None:
    described = catalog('{"Eaten": true}', '{"Eaten": "yes"}', '{"Eaten": false}', None)
    rules = ReplenishRules(attribute="Eaten")
    assert replenishable_items(rules, described, LOG).tolist() == [True, True, False, False]


def test_each_user_is_scored_after_their_own_last_event(data: RunData) -> None:
    served = served_task(data, ScoringSettings(exclude_purchased_days=30))
    # The repeat share of what is known is 2 of 6: items may come again. i0 was bought on day 1: 19 to 24 days before.
    assert served.policy.excluded_types == ()
    assert served.taken.toarray()[:, :3].tolist() == [[1, float(n % 3 == 1), float(n % 3 == 2)] for n in range(6)]
    # Of 21 days, that of the last event included, the first is day 1 for u1.
    lately = served_task(data, ScoringSettings(exclude_purchased_days=21))
    assert lately.taken.toarray()[:, 0].tolist() == [1, 1, 0, 1, 0, 0]


def test_all_are_served_at_a_cut_off_in_time(data: RunData) -> None:
    ends = {
        name: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
        for name, day in (("train_end", 10), ("validation_end", 30))
    }
    cut = replace(data, split=data.split | {"strategy": "temporal"} | ends)
    # The last known event is of day 25, so that five days begin with day 21.
    taken = served_task(cut, ScoringSettings(exclude_purchased_days=5)).taken.toarray()
    assert taken[:, :3].sum(axis=1).tolist() == [0, 1, 1, 1, 1, 1]


def test_validation_uses_the_policy_of_the_run_and_earlier_data(data: RunData) -> None:
    scoring = ScoringSettings(exclude_purchased_days=30)
    served = served_task(data, scoring, "validation")
    # Train alone holds no repeat: it would exclude all that was bought, and another task than test's would choose.
    assert served.policy == served_task(data, scoring).policy
    assert served.taken.toarray().tolist() == [[1, 0, 0, 0]] * 6
    assert not served_task(data, ScoringSettings(exclude_purchased_days=0), "validation").taken.nnz


def test_days_are_those_of_the_shop() -> None:
    # 23:00 and 01:00 in UTC are one day in Los Angeles and two in UTC.
    late = replace(LOG, times=np.tile([23 * HOUR, 25 * HOUR, 26 * HOUR, 27 * HOUR], 6))
    assert replenishable_items(RULES, catalog(*[None] * 4), late)[0]
    assert not replenishable_items(RULES, catalog(*[None] * 4), late, "America/Los_Angeles")[0]


def test_the_description_names_what_is_evaluated_and_what_is_not(data: RunData, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[replenishable]\nmin_buyers = 1\n")
    described = served_task(data, ScoringSettings(shelf_rules=tmp_path / "rules.toml")).describe()
    assert described == (
        "served_test evaluates the lists as served: an item that the user bought within 30 days is excluded, unless it "
        "is replenishable (repeat share 33.3%); blocked, sold out and delisted items, opt-outs, variety and slots for "
        "new items are not evaluated"
    )
