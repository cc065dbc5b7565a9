"""The shape of the two-tower recommender and its tuned weights, saved with the model."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from pipeline_tasks.config.training_settings import ATTENTION_HEADS
from pipeline_tasks.models.item_to_item import ItemToItemKind


@strict
class TwoTowerConfig(PreTrainedConfig):
    """The fields from which the model is built before its weights are loaded; a value of another type is rejected."""

    model_type = "nightshelf_two_tower"

    known_items: int = 1
    """Rows of the id table; an item without a row is described by its content and trends alone."""
    item_values: int = 0
    """Number of structured values with an embedding (see item_vocabulary)."""
    text_dimension: int = 256
    """Width of the whitened text vectors."""
    raw_text_dimension: int = 384
    """Width of the text encoder's own vectors."""
    dimension: int = 128
    """Width d of both towers, over all members."""
    members: int = 1
    """Number of towers in the ensemble, each with its own loss. The mean of their scores (Lakshminarayanan et al. 2017,
    Deep Ensembles) is still one dot product."""
    layers: int = 2
    """Transformer blocks of the user tower."""
    heads: int = ATTENTION_HEADS
    """Attention heads of each block."""
    dropout: float = 0.2
    """Dropout rate."""
    max_length: int = 50
    """Most recent events of a history that the user tower sees."""
    event_types: int = 5
    """Number of event types with an embedding."""
    gap_buckets: int = 16
    """Number of buckets of the time between two events, each with an embedding."""
    horizons: list[int] = field(default_factory=list)
    """Horizons of the popularity trends in microseconds (see popularity_features)."""
    linear_rank: int = 0
    """Width of the item-to-item part (see item_to_item_part), 0 for none."""
    linear_kind: ItemToItemKind = "set"
    """How the item-to-item part reads a history (see item_to_item_part)."""
    linear_half_life: int = 0
    """Half-life of an event of a history in microseconds, 0 for no decay."""
    linear_weight: float = 0.0
    """Weight of the item-to-item part's score beside that of the towers; chosen on validation."""
    trend_shift: list[float] = field(default_factory=list)
    """Shift of the trend weights of all users, 0 by default; chosen on validation."""
    newcomer_trends: list[float] = field(default_factory=list)
    """Trend weights of users without events; [] to use the general weights. Chosen on validation."""
    newcomer_share: float = 1.0
    """Weight of the attributes of users without events, beside newcomer_trends; chosen on validation."""
    newcomer_level: float = 0.0
    """Replaces new_item_level for users without events, beside newcomer_trends; chosen on validation."""
    borrowed_ids: bool = False
    """Whether items without an id get embeddings from their neighbors (see cold_start_embeddings); not in training."""
    new_item_level: float = 0.0
    """Boost of the score of items without an id; chosen on validation (see new_items)."""
    matching: str = "dot"
    """Name of the matching function (see matching)."""
    tasks: list[str] = field(default_factory=list)
    """Names of the task heads beside the next item (see task_heads)."""
    profile_values: int = 0
    """Number of values of user attributes with an embedding (see profile_values)."""
    reads_queries: bool = False
    """Whether search queries are read."""

    def __post_init__(self, **more: Any) -> None:  # noqa: ANN401
        """Set the fields that follow from others."""
        self.trend_shift = self.trend_shift or [0.0] * len(self.horizons)
        super().__post_init__(**more)  # type: ignore[no-untyped-call]

    @property
    def member_width(self) -> int:
        """Width of one member."""
        return self.dimension // self.members

    @property
    def has_lead(self) -> bool:
        """Whether there is a token before the first event, for what is known of a user before it."""
        return self.profile_values > 0 or self.reads_queries
