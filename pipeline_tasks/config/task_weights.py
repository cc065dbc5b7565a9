"""What the towers learn beside the next item, and how much each of it counts."""

import math
from collections.abc import Mapping
from typing import Final

NEXT_ITEM: Final = "next_item"
TASKS: Final = (NEXT_ITEM, "purchase_intent", "session_converts", "click", "rating")
"""The softmax over the catalog; whether the user buys within 7 days, whether the session ends in a purchase, whether
what is shown is clicked, and whether what is rated is liked, each by binary cross-entropy."""
ONLY_NEXT_ITEM: Final = {NEXT_ITEM: 1.0}


def complete_tasks(given: Mapping[str, float]) -> dict[str, float]:
    """Return the weights above 0, next_item's being 1 where it is not named.

    Raises:
        ValueError: an unknown task, a weight that is negative or not finite, or tasks without next_item.
    """
    if unknown := sorted(set(given) - set(TASKS)):
        raise ValueError(f"task_weights name {', '.join(unknown)}: there are {', '.join(TASKS)}")
    if wrong := {name: weight for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)}:
        raise ValueError(f"task_weights {wrong}: a weight is 0 (not learned) or a positive number")
    weights = ONLY_NEXT_ITEM | dict(given)
    if not weights[NEXT_ITEM]:
        others = ", ".join(sorted(set(given) - {NEXT_ITEM})) or "nothing"
        raise ValueError(
            f"task_weights set next_item to 0 beside {others}: every table is made of next_item; give it a weight"
        )
    return {name: float(weight) for name, weight in weights.items() if weight}


def refuse_contradictions(tasks: Mapping[str, float], strategy: str) -> None:
    """Raise ValueError where a task asks what the split does not show."""
    asked = sorted(set(tasks) - {NEXT_ITEM})
    if asked and strategy != "temporal":
        raise ValueError(
            f"training.task_weights has {', '.join(asked)}, but split.strategy is {strategy}: what follows a user's "
            f"last known event is hidden there, not absent; split temporal, or leave next_item alone"
        )
