"""Weights of training targets by event type."""

import math
from collections.abc import Mapping
from typing import Final

EVENT_WEIGHTS: Final = {"view": 0.4, "click": 0.5, "cart": 1.0, "purchase": 2.0, "rating": 1.0}
"""Events nearer to a purchase weigh more, because they express interest more surely."""


def complete_weights(given: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every event type: the given one, else that of EVENT_WEIGHTS.

    Raises:
        ValueError: an unknown type, a weight that is negative or not finite, or no weight above 0.
    """
    if unknown := sorted(set(given) - set(EVENT_WEIGHTS)):
        raise ValueError(f"event_weights has {', '.join(unknown)}: weights exist for {', '.join(EVENT_WEIGHTS)}")
    if wrong := {name: weight for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)}:
        raise ValueError(f"event_weights {wrong}: a weight is 0 (not learned from) or a positive number")
    complete = {name: float(given.get(name, weight)) for name, weight in EVENT_WEIGHTS.items()}
    if not any(complete.values()):
        raise ValueError("event_weights are all 0: set at least one to a positive number")
    return complete
