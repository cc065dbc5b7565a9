"""What can be set of the nightly tables: `NIGHTSHELF_SCORING__<FIELD>`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline_tasks.event_weights import EVENT_WEIGHTS
from pipeline_tasks.setting_names import Concern

RepeatRule = Literal["excluded", "allowed"]
"""Whether an item that a user already has may be recommended to them."""


def _of_event_types(rules: dict[str, RepeatRule]) -> dict[str, RepeatRule]:
    """Return the rules. Raises ValueError where one names no event type."""
    if unknown := sorted(set(rules) - set(EVENT_WEIGHTS)):
        raise ValueError(f"repeat_policy names {', '.join(unknown)}: the event types are {', '.join(EVENT_WEIGHTS)}")
    return rules


class ScoringSettings(Concern):
    """The nightly tables."""

    top_k: int = Field(20, ge=1)
    """Rows per shopper in recommendations."""
    fallback_k: int = Field(50, ge=1)
    """Rows per segment in fallback_recommendations."""
    fallback_days: int = Field(7, ge=1)
    """Days up to the night whose events make the popularity in fallback_recommendations."""
    similar_k: int = Field(20, ge=1)
    """Rows per item in similar_items."""
    next_k: int = Field(20, ge=0)
    """Rows per item in next_items; 0 leaves it empty."""
    exclude_purchased_days: int = Field(30, ge=0)
    """Items bought within so many days are not recommended, as far as the window (split.window_days) goes: what was
    bought before it is not known. 0 leaves it to `repeat_policy`."""
    repeat_policy: Annotated[dict[str, RepeatRule], AfterValidator(_of_event_types)] = {}
    """Event type -> excluded or allowed: whether an item that a user has such an event of may be recommended to them.
    Types that are not named follow the log: where almost nobody takes an item again, what was bought or rated (without
    either: put into a cart; without that: clicked or viewed) is excluded. A change holds from the next evaluated model
    on. What is allowed is still subject to exclude_purchased_days. Example: {"rating": "excluded"}."""
    shelf_rules: Path | None = None
    """TOML file of what is excluded, how shelves are varied, and A/B arms (`shelves/shelf_rules.py`)."""
    clusters: int = Field(8, ge=1)
    """Groups of taste in user_profiles."""
    search_queries: int = Field(1_000, ge=0)
    """Most asked queries of the window in search_results and search_suggestions; 0 leaves both empty."""
    search_min_shoppers: int = Field(2, ge=1)
    """A query by fewer shoppers or sessions could give somebody away: it is in neither table."""
    search_k: int = Field(20, ge=1)
    """Rows per query in search_results."""
    search_days: int = Field(7, ge=1)
    """Who asked within so many days gets an order of their own."""
    audience_k: int = Field(50, ge=1)
    """Shoppers per item and category in audiences."""
    audience_items: int = Field(10_000, ge=0)
    """Items that get an audience: those most purchased. Bounds memory at items x audience_k x 20 bytes per core."""
    block_users: int = Field(2_048, ge=1)
    """Shoppers scored at a time: bounds memory at block_users x items x 12 bytes per core (a score and its item's
    place); large tables need less."""
