"""Settings of the nightly tables: `NIGHTSHELF_SCORING__<FIELD>`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline_tasks.config.setting_names import SettingsGroup
from pipeline_tasks.config.training_settings import EVENT_WEIGHTS

RepeatRule = Literal["excluded", "allowed"]
"""Whether an item that a user already has may be recommended to them."""


def _of_event_types(rules: dict[str, RepeatRule]) -> dict[str, RepeatRule]:
    """Return the rules. Raises ValueError where a key is not an event type."""
    if unknown := sorted(set(rules) - set(EVENT_WEIGHTS)):
        raise ValueError(
            f"repeat_policy has unknown {', '.join(unknown)}: the event types are {', '.join(EVENT_WEIGHTS)}"
        )
    return rules


class ScoringSettings(SettingsGroup):
    """The nightly tables."""

    top_k: int = Field(20, ge=1)
    """Rows per user in recommendations."""
    fallback_k: int = Field(50, ge=1)
    """Rows per segment in fallback_recommendations."""
    fallback_days: int = Field(7, ge=1)
    """Days before the date of the run from which popularity in fallback_recommendations is counted."""
    similar_k: int = Field(20, ge=1)
    """Rows per item in similar_items."""
    next_k: int = Field(20, ge=0)
    """Rows per item in next_items; 0 leaves it empty."""
    exclude_purchased_days: int = Field(30, ge=0)
    """Items bought within this number of days are not recommended, as far as the window (split.window_days) reaches.
    Earlier purchases are not read. 0 leaves it to `repeat_policy`."""
    repeat_policy: Annotated[dict[str, RepeatRule], AfterValidator(_of_event_types)] = {}
    """Event type -> excluded or allowed: whether an item with such an event of the user may be recommended to them, as
    {"rating": "excluded"}. Other types follow the log (docs/guides/business-rules.md)."""
    shelf_rules: Path | None = None
    """TOML file of business rules: exclusions, variety and A/B arms (docs/guides/business-rules.md)."""
    clusters: int = Field(8, ge=1)
    """Number of taste groups in user_profiles."""
    search_queries: int = Field(1_000, ge=0)
    """Number of most frequent queries in search_results and search_suggestions; 0 leaves both empty."""
    search_min_shoppers: int = Field(2, ge=1)
    """A query of fewer users or sessions is in neither table, because it could identify a person."""
    search_k: int = Field(20, ge=1)
    """Rows per query in search_results."""
    search_days: int = Field(7, ge=1)
    """Users who searched a query within this number of days get a personal order."""
    audience_k: int = Field(50, ge=1)
    """Users per item and category in audiences."""
    audience_items: int = Field(10_000, ge=0)
    """Items that get an audience, the most purchased first. Memory: items x audience_k x 20 bytes per core."""
    block_users: int = Field(2_048, ge=1)
    """Users that are scored at a time. Memory: at most block_users x items x 12 bytes per core (a score and its item's
    index); large tables need less."""
