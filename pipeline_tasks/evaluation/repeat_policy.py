"""Whether an item that a user already has may be recommended to them again: one policy, judged and served.

The log decides when a model is evaluated, and the decision is saved with the model: the nightly tables exclude what the
evaluation excluded, whatever has been set since.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Flags, Integers, Interactions, step_numbers
from pipeline_tasks.evaluation.ranking_task import matrix_of, wanted_types
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

REPEAT_BOUND: Final = 0.02
"""Repeat share from which items may come again. Public logs lie far from it: Amazon Beauty, Amazon Sports and
MovieLens-1M .000; Complete Journey (a sample of its lines) .089, Online Retail .402, REES46's purchases .286."""
_PURCHASE: Final = CHOSEN_TYPES.index("purchase")


@dataclass(frozen=True)
class RepeatPolicy:
    """What of a user's own events keeps an item from being recommended to them."""

    excluded_types: tuple[str, ...] = ()
    """An item that the user has an event of one of these types with is excluded, unless it is replenishable."""
    exclude_purchased_days: int = 0
    """An item bought within so many days is excluded, unless it is replenishable."""
    repeat_share: float | None = None
    """What was measured in the log; None where nothing was."""

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "RepeatPolicy":
        """Return the policy that `as_facts` described."""
        return cls(**{**facts, "excluded_types": tuple(facts["excluded_types"])})

    def as_facts(self) -> dict[str, Any]:
        """Return the policy in JSON's types."""
        return asdict(self) | {"excluded_types": list(self.excluded_types)}

    def describe(self) -> str:
        """Return the policy in one clause."""
        taken = [f"has a {' or '.join(self.excluded_types)} of"] if self.excluded_types else []
        if self.exclude_purchased_days and "purchase" not in self.excluded_types:
            taken.append(f"bought within {self.exclude_purchased_days} days")
        rule = "nothing that the user already has is excluded"
        if taken:
            rule = f"an item that the user {' or '.join(taken)} is excluded, unless it is replenishable"
        return rule if self.repeat_share is None else f"{rule} (repeat share {self.repeat_share:.1%})"


def repeat_share(log: Interactions) -> float:
    """Return, of the events after a sequence's first step, the share that repeats an earlier step: the same item and
    the same type. A rating of what was bought before is no repeat."""
    steps, never = step_numbers(log), np.iinfo(np.int64).max
    first = np.full(len(log), never)
    np.minimum.at(first, log.rows, steps)
    n_items = int(log.items.max(initial=0)) + 1
    _, place = np.unique((log.rows * n_items + log.items) * len(CHOSEN_TYPES) + log.types, return_inverse=True)
    earliest = np.full(int(place.max(initial=-1)) + 1, never)
    np.minimum.at(earliest, place, steps)
    later = steps > first[log.rows]
    return float((later & (earliest[place] < steps)).sum() / max(1, int(later.sum())))


def repeat_shares(known: Interactions) -> dict[str, float]:
    """Return event type -> `repeat_share` of its events alone, for the types that the log has."""
    log = _of_users(known)
    return {CHOSEN_TYPES[kind]: repeat_share(log.only(log.types == kind)) for kind in np.unique(log.types).tolist()}


def choose_repeat_policy(known: Interactions, scoring: ScoringSettings) -> RepeatPolicy:
    """Return the policy for a log of which `known` may be looked at: train and validation.

    Known users decide, where there are some, by the strongest events that the log has (purchases before views). Weaker
    events exclude nothing by themselves: users buy what they looked at. `scoring.repeat_policy` overrides it by type.

    Raises:
        ValueError: the log has no event that says what a user wanted.
    """
    log = _of_users(known)
    wanted = wanted_types(log)
    share = repeat_share(log.only(np.isin(log.types, wanted)))
    taken = {CHOSEN_TYPES[kind] for kind in wanted.tolist()} if share < REPEAT_BOUND else set()
    rules = {name: "excluded" if name in taken else "allowed" for name in CHOSEN_TYPES} | scoring.repeat_policy
    excluded = tuple(name for name in CHOSEN_TYPES if rules[name] == "excluded")
    return RepeatPolicy(excluded, scoring.exclude_purchased_days, share)


def taken_items(
    known: Interactions, policy: RepeatPolicy, bought_since: Integers, replenishable: Flags, n_items: int
) -> csr_matrix:
    """Return (sequences, items) 1 where the policy excludes an item that the sequence has.

    Args:
        bought_since: (sequences,) epoch microseconds from which on a purchase is within `exclude_purchased_days`.
        replenishable: (items,).
    """
    excluded = np.isin(known.types, [CHOSEN_TYPES.index(name) for name in policy.excluded_types])
    excluded |= (known.types == _PURCHASE) & (known.times >= bought_since[known.rows])
    return matrix_of(known.only(excluded & ~replenishable[known.items]), n_items)


def _of_users(log: Interactions) -> Interactions:
    """Return the histories of known users where there are some, as the tables are theirs; else the log."""
    return log.select(np.flatnonzero(log.known)) if log.known.any() else log
