"""The weights of the score's parts, which are tuned on validation after the towers are trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMER_CONFIG_KEYS: Final = {
    "linear_weight": "item_to_item",
    "trend_shift": "trend_shift",
    "borrowed_ids": "cold_start_embeddings",
    "new_item_level": "cold_start_boost",
    "newcomer_trends": "new_user_trends",
    "newcomer_share": "new_user_profile",
    "newcomer_level": "new_user_boost",
}
"""Keys of config.json in folders written before 2026-11-29, when the model's config held these weights -> fields."""


@dataclass(frozen=True)
class TunedWeights:
    """Weights beside those that training learns; the defaults add nothing to the score of the towers."""

    item_to_item: float = 0.0
    """Weight of the item-to-item part's score beside that of the towers."""
    trend_shift: tuple[float, ...] = ()
    """(trends,) added to the trend weights of all users; () adds nothing."""
    cold_start_embeddings: bool = False
    """Whether items without an id get embeddings from their neighbors (see item_side); not in training."""
    cold_start_boost: float = 0.0
    """Added to the score of items without an id (see new_items)."""
    new_user_trends: tuple[float, ...] = ()
    """(trends,) trend weights of users without events; () for the general weights."""
    new_user_profile: float = 1.0
    """Weight of the attributes of users without events, beside new_user_trends."""
    new_user_boost: float = 0.0
    """Replaces cold_start_boost for users without events, beside new_user_trends."""


UNTUNED: Final = TunedWeights()


def read_tuned_weights(values: Mapping[str, Any]) -> TunedWeights:
    """Return the weights from JSON, where tuples are lists."""
    read: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    return TunedWeights(**read)


def former_tuned_weights(config: Mapping[str, Any]) -> TunedWeights:
    """Return the weights from the config.json of a folder whose recommender.json has none (see FORMER_CONFIG_KEYS)."""
    return read_tuned_weights(
        {FORMER_CONFIG_KEYS[key]: config[key] for key in FORMER_CONFIG_KEYS.keys() & config.keys()}
    )
