"""Explains recommendations in words that a user can read, by the user's own history or by the category.

No reason is popularity: that is a reason in `fallback_recommendations`.
"""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.topk.arrays import Indices

_PHRASES: Final = {"purchase": "bought {}", "cart": "put {} in your cart", "rating": "rated {}"}
"""Event type -> phrase. For all other types it is "looked at {}"."""
RECENT_ITEMS: Final = 50
"""The number of most recent events of a history that can explain a recommendation."""
MIN_SIMILARITY: Final = 0.3
"""Least cosine at which an item of the history explains a recommendation."""


def explain(
    offered: OfferedItems, recommended: Indices, history: Indices, event_types: list[str], new: Flags | None = None
) -> list[str]:
    """Return a reason for each recommended item.

    Args:
        recommended: indices of the items to explain.
        history: indices of the user's items, oldest first; -1 for items that are not offered.
        event_types: the event type of each item in `history`.
        new: which of the recommended items fill a slot for new items.
    """
    places = np.flatnonzero(history >= 0)[::-1][:RECENT_ITEMS]
    own_categories = {offered.categories[index] for index in history[places]} - {None}
    similarities = (
        offered.content[recommended] @ offered.content[history[places]].T if len(places) else np.zeros((0, 0))
    )
    # Rounded, so that rounding errors do not decide between equal values; of these the most recent item is first.
    nearest = np.round(similarities, 4).argmax(axis=1) if similarities.size else np.full(len(recommended), -1)
    reasons = []
    for row, index in enumerate(recommended):
        if new is not None and new[row]:
            reasons.append(_new_item_reason(offered.categories[index]))
            continue
        place = nearest[row]
        is_similar = place >= 0 and similarities[row, place] >= MIN_SIMILARITY
        seen, event_type = (int(history[places[place]]), event_types[places[place]]) if is_similar else (-1, "")
        reasons.append(_reason(offered, int(index), seen, event_type, own_categories))
    return reasons


def _reason(offered: OfferedItems, index: int, seen: int, event_type: str, own_categories: set[str | None]) -> str:
    category, phrase = offered.categories[index], _PHRASES.get(event_type, "looked at {}")
    if seen == index:
        return f"because you {phrase.format('it')} before"
    if seen >= 0 and (title := offered.titles[seen]):
        return f"because you {phrase.format(title)}"
    if category is not None and category in own_categories:
        return f"more from {short_category(category)}"
    return "chosen for users like you"


def _new_item_reason(category: str | None) -> str:
    return "new in the shop" if category is None else f"new in {short_category(category)}"


def short_category(category: str) -> str:
    """Return the last level of a category path."""
    return category.rpartition(" > ")[2]
