"""Why an item is recommended, in words that the user could read: from their own history, or from the category.

Nothing here is called popular: a user's own shelf does not know what is in demand, as `fallback_shelves` does.
"""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.topk.arrays import Indices

_DEEDS: Final = {"purchase": "bought {}", "cart": "put {} in your cart", "rating": "rated {}"}
"""Anything else was looked at."""
RECENT_ITEMS: Final = 50
"""Most recent events of a history that reasons are looked for in."""
ALIKE: Final = 0.3
"""Cosine from which an item of the history explains a recommendation."""


def explain(
    shelf: OfferedItems, recommended: Indices, history: Indices, deeds: list[str], new: Flags | None = None
) -> list[str]:
    """Return a reason per recommended item.

    Args:
        recommended: indices of the items to explain.
        history: indices of the user's items, oldest first; -1 for items that the shelf does not hold.
        deeds: the event type of each.
        new: which of the recommended items are shown for being new.
    """
    places = np.flatnonzero(history >= 0)[::-1][:RECENT_ITEMS]
    own = {shelf.categories[index] for index in history[places]} - {None}
    likeness = shelf.content[recommended] @ shelf.content[history[places]].T if len(places) else np.zeros((0, 0))
    # Rounded, so that the order of additions cannot choose between equals; the first is the most recent.
    nearest = np.round(likeness, 4).argmax(axis=1) if likeness.size else np.full(len(recommended), -1)
    reasons = []
    for row, index in enumerate(recommended):
        if new is not None and new[row]:
            reasons.append(_newly(shelf.categories[index]))
            continue
        place = nearest[row]
        alike = place >= 0 and likeness[row, place] >= ALIKE
        seen, deed = (int(history[places[place]]), deeds[places[place]]) if alike else (-1, "")
        reasons.append(_reason(shelf, int(index), seen, deed, own))
    return reasons


def _reason(shelf: OfferedItems, index: int, seen: int, deed: str, own: set[str | None]) -> str:
    category, before = shelf.categories[index], _DEEDS.get(deed, "looked at {}")
    if seen == index:
        return f"because you {before.format('it')} before"
    if seen >= 0 and (title := shelf.titles[seen]):
        return f"because you {before.format(title)}"
    if category is not None and category in own:
        return f"more from {short_category(category)}"
    return "chosen for users like you"


def _newly(category: str | None) -> str:
    return "new in the shop" if category is None else f"new in {short_category(category)}"


def short_category(category: str) -> str:
    """Return the last level of a category path."""
    return category.rpartition(" > ")[2]
