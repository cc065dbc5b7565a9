"""The repeat policy of the nightly tables, applied to an evaluation on a part of the log."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.config.business_rules import ReplenishRules, load_business_rules
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Flags, Integers, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.split_parts import Part
from pipeline_tasks.evaluation.ranking_task import SERVED_TEST
from pipeline_tasks.evaluation.repeat_policy import (
    RepeatPolicy,
    choose_repeat_policy,
    policy_excluded_items,
    repeat_shares,
)
from pipeline_tasks.models.repeat_model import own_pairs
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import MINUTE, day_at, end_of_day

NOT_EVALUATED: Final = (
    "blocked, sold out and delisted items, opt-outs, variety and slots for new items are not evaluated"
)
_TRUE: Final = ("true", "1", "yes")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_HOUR: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class ServedTask:
    """The repeat policy of a run, and the items that it excludes when a part is predicted."""

    policy: RepeatPolicy
    taken: csr_matrix
    """(sequences, items): the excluded items of each sequence."""
    repeat_shares: dict[str, float]
    """Event type -> share of its events that repeat an earlier one."""

    def describe(self) -> str:
        """Return one sentence that describes the headline task."""
        return f"{SERVED_TEST} evaluates the lists as served: {self.policy.describe()}; {NOT_EVALUATED}"


def served_task(data: RunData, scoring: ScoringSettings, part: Part = "test") -> ServedTask:
    """Choose the repeat policy on train and validation, and apply it to the events before `part`.

    Validation and test therefore use the policy with which the winner serves.

    Raises:
        ValueError: the shop's rules cannot be read.
    """
    before_test, known = data.parts.known_before("test"), data.parts.known_before(part)
    n_items, zone, policy = len(data.catalog), _timezone(data), choose_repeat_policy(before_test, scoring)
    again = replenishable_items(load_business_rules(scoring.shelf_rules).replenishable, data.catalog, known, zone)
    since = _exclusion_starts(_prediction_times(data, known), policy.exclude_purchased_days, zone)
    return ServedTask(policy, policy_excluded_items(known, policy, since, again, n_items), repeat_shares(before_test))


def replenishable_items(
    rules: ReplenishRules, catalog: ItemCatalog, known: Interactions, zone: str | None = None
) -> Flags:
    """Return (items,) flags of the replenishable items, by the rule of `spark_jobs.recommending.find_replenishable`."""
    if rules.attribute is not None:
        wanted = {f"{rules.attribute}={value}".casefold() for value in _TRUE}
        return np.array([not wanted.isdisjoint(values) for values in catalog.values], dtype=np.bool_)
    purchases = known.only((known.types == CHOSEN_TYPES.index("purchase")) & known.known[known.rows])
    pairs = own_pairs(purchases, len(catalog))
    buyers = np.bincount(pairs.items, minlength=len(catalog))
    several = _day_numbers(pairs.last, zone) > _day_numbers(pairs.first, zone)
    share = np.bincount(pairs.items, several, minlength=len(catalog)) / np.maximum(buyers, 1)
    return np.asarray((buyers >= rules.min_buyers) & (share >= rules.repurchase_share), dtype=np.bool_)


def _prediction_times(data: RunData, known: Interactions) -> Integers:
    """Return (sequences,) epoch microseconds of each prediction.

    For a temporal split this is the cut-off for all, else the last known event of each sequence.
    """
    last = np.full(len(known), known.data_extent.last_timestamp, dtype=np.int64)
    if data.split["strategy"] != "temporal":
        seen = known.lengths > 0
        last[seen] = known.times[known.offsets[1:][seen] - 1]
    return last


def _exclusion_starts(times: Integers, days: int, zone: str | None) -> Integers:
    """Return the first microsecond of the last `days` days of the shop, the days of `times` included."""
    numbers, place = np.unique(_day_numbers(times, zone), return_inverse=True)
    starts = [end_of_day(date.fromordinal(number) - timedelta(days=days), zone) for number in numbers.tolist()]
    return np.array(starts, dtype=np.int64)[place]


def _day_numbers(times: Integers, zone: str | None) -> Integers:
    """Return the proleptic Gregorian ordinal of the shop's day of each time (epoch microseconds)."""
    quarters, place = np.unique(times // (15 * MINUTE), return_inverse=True)
    # Clocks change at whole quarters of an hour, so each quarter lies within one day.
    days = [day_at(_EPOCH + quarter * _QUARTER_HOUR, zone).toordinal() for quarter in quarters.tolist()]
    return np.array(days, dtype=np.int64)[place]


def _timezone(data: RunData) -> str | None:
    return (data.lake.facts("splits").get("timezone") or None) if data.lake is not None else None
