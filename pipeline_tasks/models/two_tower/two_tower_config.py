"""Shape of the two-tower recommender, saved with its weights."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from pipeline_tasks.config.training_settings import ATTENTION_HEADS
from pipeline_tasks.models.item_to_item_part import ItemToItemKind


@strict
class TwoTowerConfig(PreTrainedConfig):
    """All that is needed to build the model before its weights are read; a value of another type is refused."""

    model_type = "nightshelf_two_tower"

    known_items: int = 1
    """Rows of the id table; an item without a row is described by its text and trend alone."""
    item_values: int = 0
    """Structured values that have a vector; see item_vocabulary."""
    text_dimension: int = 256
    """Width of the whitened text vectors."""
    raw_text_dimension: int = 384
    """Width of the text encoder's own vectors."""
    dimension: int = 128
    """Width d of both towers, all members together."""
    members: int = 1
    """Towers that learn side by side, each on a loss of its own, and whose scores are averaged (Lakshminarayanan et al.
    2017, Deep Ensembles): still one dot product."""
    layers: int = 2
    """Transformer blocks of the user tower."""
    heads: int = ATTENTION_HEADS
    """Attention heads of each block."""
    dropout: float = 0.2
    """Share of numbers that a step of training forgets."""
    max_length: int = 50
    """Most recent events of a history that the user tower sees."""
    event_types: int = 5
    """Types of events that have a vector."""
    gap_buckets: int = 16
    """Steps of the time between two events that have a vector."""
    horizons: list[int] = field(default_factory=list)
    """Of the popularity trends (see popularity_trends), in microseconds."""
    linear_rank: int = 0
    """Width of the collaborative part (see linear_part), 0 for none."""
    linear_kind: ItemToItemKind = "set"
    """How it reads a history (see linear_part)."""
    linear_half_life: int = 0
    """Of what is in a history, in microseconds, 0 for ever."""
    linear_weight: float = 0.0
    """Of the collaborative part's score beside the transformer's; chosen on validation."""
    trend_shift: list[float] = field(default_factory=list)
    """Added to everybody's weights of the trends, by default nothing; chosen on validation."""
    newcomer_trends: list[float] = field(default_factory=list)
    """Weights of the trends for users without an event, in place of everybody's; none: everybody's. Chosen on
    validation."""
    newcomer_share: float = 1.0
    """Of what their attributes say, beside newcomer_trends; chosen on validation."""
    newcomer_level: float = 0.0
    """In place of new_item_level, beside newcomer_trends; chosen on validation."""
    borrowed_ids: bool = False
    """Whether items without an id borrow their neighbors'; not while training."""
    new_item_level: float = 0.0
    """Added to the score of items without an id; chosen on validation (see new_items)."""
    matching: str = "dot"
    """How state and item vector make a number (see matching)."""
    tasks: list[str] = field(default_factory=list)
    """Of the heads beside the next item (see task_heads)."""
    profile_values: int = 0
    """Users' attributes that have a vector; see profile_values."""
    reads_queries: bool = False
    """Whether what users typed is read."""

    def __post_init__(self, **more: Any) -> None:  # noqa: ANN401
        """Fill up what follows from other fields."""
        self.trend_shift = self.trend_shift or [0.0] * len(self.horizons)
        super().__post_init__(**more)  # type: ignore[no-untyped-call]

    @property
    def member_width(self) -> int:
        """Width of one member."""
        return self.dimension // self.members

    @property
    def has_lead(self) -> bool:
        """Whether a token stands before the first event: somebody may be known before it."""
        return self.profile_values > 0 or self.reads_queries
