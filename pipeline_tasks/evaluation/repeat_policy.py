"""The policy on recommending an item again to a user who already has it.

It is chosen from the log when a model is evaluated, and saved with the model. So the nightly tables exclude the same
items as the evaluation, even after settings change.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.interactions import Flags, Integers, Interactions, step_numbers
from pipeline_tasks.evaluation.ranking_task import interaction_matrix, relevant_types
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

REPEAT_BOUND: Final = 0.02
"""Repeat share from which items may be recommended again. Public logs are far from it: Amazon Beauty, Amazon Sports and
MovieLens-1M .000; Complete Journey (a sample of its lines) .089, Online Retail .402, REES46's purchases .286."""
_PURCHASE: Final = CHOSEN_TYPES.index("purchase")


@dataclass(frozen=True)
class RepeatPolicy:
    """The events of a user that exclude an item from the user's recommendations."""

    excluded_types: tuple[str, ...] = ()
    """An item that the user has an event of one of these types with is excluded, unless it is replenishable."""
    exclude_purchased_days: int = 0
    """An item that was bought within this many days is excluded, unless it is replenishable."""
    repeat_share: float | None = None
    """The repeat share of the log; None where it was not measured."""

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "RepeatPolicy":
        """Return the policy from the output of `as_facts`."""
        return cls(**{**facts, "excluded_types": tuple(facts["excluded_types"])})

    def as_facts(self) -> dict[str, Any]:
        """Return the policy as a JSON object."""
        return asdict(self) | {"excluded_types": list(self.excluded_types)}

    def describe(self) -> str:
        """Return the policy in words, as one clause."""
        taken = [f"has a {' or '.join(self.excluded_types)} of"] if self.excluded_types else []
        if self.exclude_purchased_days and "purchase" not in self.excluded_types:
            taken.append(f"bought within {self.exclude_purchased_days} days")
        rule = "nothing that the user already has is excluded"
        if taken:
            rule = f"an item that the user {' or '.join(taken)} is excluded, unless it is replenishable"
        return rule if self.repeat_share is None else f"{rule} (repeat share {self.repeat_share:.1%})"


def repeat_share(log: Interactions) -> float:
    """Return the share of events after a sequence's first step that repeat the item and type of an earlier step.

    A rating of an item that was bought before is no repeat.
    """
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
    """Return event type -> `repeat_share` of the events of that type, for the types in the log."""
    log = _of_users(known)
    return {CHOSEN_TYPES[kind]: repeat_share(log.only(log.types == kind)) for kind in np.unique(log.types).tolist()}


def choose_repeat_policy(known: Interactions, scoring: ScoringSettings) -> RepeatPolicy:
    """Return the policy for a log, from its `known` events: train and validation.

    The choice rests on the strongest events of known users (purchases before views). Weaker events exclude no item,
    because users buy what they viewed. `scoring.repeat_policy` overrides the choice for an event type.

    Raises:
        ValueError: the log has no purchase, rating, cart, click or view.
    """
    log = _of_users(known)
    wanted = relevant_types(log)
    share = repeat_share(log.only(np.isin(log.types, wanted)))
    taken = {CHOSEN_TYPES[kind] for kind in wanted.tolist()} if share < REPEAT_BOUND else set()
    rules = {name: "excluded" if name in taken else "allowed" for name in CHOSEN_TYPES} | scoring.repeat_policy
    excluded = tuple(name for name in CHOSEN_TYPES if rules[name] == "excluded")
    return RepeatPolicy(excluded, scoring.exclude_purchased_days, share)


def policy_excluded_items(
    known: Interactions, policy: RepeatPolicy, bought_since: Integers, replenishable: Flags, n_items: int
) -> csr_matrix:
    """Return (sequences, items) 1 where the policy excludes an item that the sequence has.

    Args:
        bought_since: (sequences,) epoch microseconds of the start of `exclude_purchased_days`.
        replenishable: (items,) flags of items that are never excluded.
    """
    excluded = np.isin(known.types, [CHOSEN_TYPES.index(name) for name in policy.excluded_types])
    excluded |= (known.types == _PURCHASE) & (known.times >= bought_since[known.rows])
    return interaction_matrix(known.only(excluded & ~replenishable[known.items]), n_items)


def _of_users(log: Interactions) -> Interactions:
    """Return the histories of known users, or the whole log where there are none."""
    return log.select(np.flatnonzero(log.known)) if log.known.any() else log
