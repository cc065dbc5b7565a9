"""The shape of the two-tower model, saved with it."""

from dataclasses import dataclass, field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from pipeline_tasks.config.training_settings import ATTENTION_HEADS
from pipeline_tasks.models.item_to_item import ItemToItemKind
from pipeline_tasks.models.two_tower.tuned_weights import FORMER_CONFIG_KEYS


@dataclass(frozen=True)
class ModelShape:
    """The options of a training that shape the model."""

    dimension: int = 128
    """Width d of both towers, over all members."""
    members: int = 1
    """Number of towers in the ensemble, each with its own loss. The mean of their scores (Lakshminarayanan et al. 2017,
    Deep Ensembles) is still one dot product."""
    layers: int = 2
    """Transformer blocks of the user tower."""
    dropout: float = 0.2
    """Dropout rate."""
    max_length: int = 50
    """Most recent events of a history that the user tower sees."""
    matching: str = "dot"
    """Name of the matching function (see matching)."""
    item_values: int = 0
    """Number of structured values with an embedding (see item_content)."""
    linear_kind: ItemToItemKind = "set"
    """How the item-to-item part reads a history (see item_to_item)."""


@strict
class TwoTowerConfig(PreTrainedConfig):
    """The fields from which the model is built before its weights are loaded; a value of another type is rejected."""

    model_type = "nightshelf_two_tower"

    # The fields of ModelShape, named again because transformers reads them from this class.
    dimension: int = ModelShape.dimension
    members: int = ModelShape.members
    layers: int = ModelShape.layers
    dropout: float = ModelShape.dropout
    max_length: int = ModelShape.max_length
    matching: str = ModelShape.matching
    item_values: int = ModelShape.item_values
    linear_kind: ItemToItemKind = ModelShape.linear_kind

    known_items: int = 1
    """Rows of the id table; an item without a row is described by its content and trends alone."""
    text_dimension: int = 256
    """Width of the whitened text vectors."""
    raw_text_dimension: int = 384
    """Width of the text encoder's own vectors."""
    heads: int = ATTENTION_HEADS
    """Attention heads of each block."""
    event_types: int = 5
    """Number of event types with an embedding."""
    gap_buckets: int = 16
    """Number of buckets of the time between two events, each with an embedding."""
    horizons: list[int] = field(default_factory=list)
    """Horizons of the popularity trends in microseconds (see popularity_features)."""
    linear_rank: int = 0
    """Width of the item-to-item part (see item_to_item), 0 for none."""
    linear_half_life: int = 0
    """Half-life of an event of a history in microseconds, 0 for no decay."""
    tasks: list[str] = field(default_factory=list)
    """Names of the task heads beside the next item (see task_heads)."""
    profile_values: int = 0
    """Number of values of user attributes with an embedding (see profile_values)."""
    reads_queries: bool = False
    """Whether search queries are read."""

    def __post_init__(self, **more: Any) -> None:  # noqa: ANN401
        """Leave out the tuned weights that earlier versions kept here; they are read from the file (TunedWeights)."""
        kept = {name: value for name, value in more.items() if name not in FORMER_CONFIG_KEYS}
        super().__post_init__(**kept)  # type: ignore[no-untyped-call]

    @property
    def member_width(self) -> int:
        """Width of one member."""
        return self.dimension // self.members

    @property
    def has_lead(self) -> bool:
        """Whether there is a token before the first event, for what is known of a user before it."""
        return self.profile_values > 0 or self.reads_queries
