"""Training tasks of the towers and their weights."""

import math
from collections.abc import Mapping
from typing import Final

NEXT_ITEM: Final = "next_item"
TASKS: Final = (NEXT_ITEM, "purchase_intent", "session_converts", "click", "rating")
"""next_item is a softmax over the catalog. The others are binary cross-entropies: whether the user buys within 7 days,
the session ends in a purchase, a shown item is clicked, and a rated item is liked."""
ONLY_NEXT_ITEM: Final = {NEXT_ITEM: 1.0}


def complete_tasks(given: Mapping[str, float]) -> dict[str, float]:
    """Return the weights above 0; next_item has weight 1 unless it is given.

    Raises:
        ValueError: a task is unknown, a weight is negative or not finite, or next_item has weight 0.
    """
    if unknown := sorted(set(given) - set(TASKS)):
        raise ValueError(f"task_weights has unknown {', '.join(unknown)}: there are {', '.join(TASKS)}")
    if wrong := {name: weight for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)}:
        raise ValueError(f"task_weights {wrong}: a weight is 0 (not learned) or a positive number")
    weights = ONLY_NEXT_ITEM | dict(given)
    if not weights[NEXT_ITEM]:
        others = ", ".join(sorted(set(given) - {NEXT_ITEM})) or "nothing"
        raise ValueError(
            f"task_weights sets next_item to 0, with {others}: every table is computed from next_item; give it a weight"
        )
    return {name: float(weight) for name, weight in weights.items() if weight}


def reject_contradictions(tasks: Mapping[str, float], strategy: str) -> None:
    """Raise ValueError where a task needs labels that the split hides."""
    others = sorted(set(tasks) - {NEXT_ITEM})
    if others and strategy != "temporal":
        raise ValueError(
            f"training.task_weights has {', '.join(others)}, but split.strategy is {strategy}, which hides the events "
            f"after a user's last training event, so labels are unknown: set it to temporal, or keep next_item only"
        )
