"""Shape of the two-tower recommender, saved with its weights."""

from typing import Any

from transformers import PreTrainedConfig

from pipeline_tasks.collaborative.linear_part import LinearKind


class TwoTowerConfig(PreTrainedConfig):
    """All that is needed to build the model before its weights are read."""

    model_type = "nightshelf_two_tower"

    def __init__(
        self,
        known_items: int = 1,
        item_values: int = 0,
        text_dimension: int = 256,
        raw_text_dimension: int = 384,
        dimension: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.2,
        max_length: int = 50,
        event_types: int = 5,
        gap_buckets: int = 16,
        horizons: tuple[int, ...] = (),
        linear_rank: int = 0,
        linear_kind: LinearKind = "set",
        linear_half_life: int = 0,
        linear_weight: float = 0.0,
        trend_shift: tuple[float, ...] = (),
        borrowed_ids: bool = False,
        new_item_level: float = 0.0,
        matching: str = "dot",
        tasks: tuple[str, ...] = (),
        profile_values: int = 0,
        reads_queries: bool = False,
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Keep the shape.

        Args:
            known_items: rows of the id table; an item without a row is described by its text and trend alone.
            item_values: structured values that have a vector; see item_vocabulary.
            text_dimension: width of the whitened text vectors.
            raw_text_dimension: width of the text encoder's own vectors.
            dimension: width d of both towers.
            max_length: most recent events of a history that the user tower sees.
            horizons: of the popularity trends (see popularity_trends), in microseconds.
            linear_rank: width of the collaborative part (see linear_part), 0 for none.
            linear_kind: how it reads a history (see linear_part).
            linear_half_life: of what is in a history, in microseconds, 0 for ever.
            linear_weight: of the collaborative part's score beside the transformer's; chosen on validation.
            trend_shift: added to everybody's weights of the trends, () for nothing; chosen on validation.
            borrowed_ids: whether items without an id borrow their neighbors'; not while training.
            new_item_level: added to the score of items without an id; chosen on validation (see new_items).
            matching: how state and item vector make a number (see matching).
            tasks: of the heads beside the next item (see task_heads).
            profile_values: of shoppers' attributes that have a vector; see profile_values.
            reads_queries: whether what shoppers typed is read.
        """
        self.known_items = known_items
        self.item_values = item_values
        self.text_dimension = text_dimension
        self.raw_text_dimension = raw_text_dimension
        self.dimension = dimension
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.max_length = max_length
        self.event_types = event_types
        self.gap_buckets = gap_buckets
        self.horizons = list(horizons)
        self.linear_rank = linear_rank
        self.linear_kind = linear_kind
        self.linear_half_life = linear_half_life
        self.linear_weight = linear_weight
        self.matching = matching
        self.tasks = list(tasks)
        self.trend_shift = list(trend_shift) or [0.0] * len(self.horizons)
        self.borrowed_ids = borrowed_ids
        self.new_item_level = new_item_level
        self.profile_values = profile_values
        self.reads_queries = reads_queries
        super().__init__(**more)

    @property
    def has_lead(self) -> bool:
        """Whether a token stands before the first event: somebody may be known before it."""
        return self.profile_values > 0 or self.reads_queries
