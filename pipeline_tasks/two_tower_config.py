"""Shape of the two-tower recommender, saved with its weights."""

from typing import Any

from transformers import PreTrainedConfig


class TwoTowerConfig(PreTrainedConfig):
    """All that is needed to build the model before its weights are read."""

    model_type = "nightshelf_two_tower"

    def __init__(
        self,
        known_items: int = 1,
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
        linear_weight: float = 0.0,
        trend_shift: tuple[float, ...] = (),
        matching: str = "dot",
        tasks: tuple[str, ...] = (),
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Keep the shape.

        Args:
            known_items: rows of the id table; an item without a row is described by its text and trend alone.
            text_dimension: width of the whitened text vectors.
            raw_text_dimension: width of the text encoder's own vectors.
            dimension: width d of both towers.
            max_length: most recent events of a history that the user tower sees.
            horizons: of the popularity trends (see popularity_trends), in microseconds.
            linear_rank: width of the collaborative part (see linear_factors), 0 for none.
            linear_weight: of the collaborative part's score beside the transformer's; chosen on validation.
            trend_shift: added to everybody's weights of the trends, () for nothing; chosen on validation.
            matching: how state and item vector make a number (see matching).
            tasks: of the heads beside the next item (see task_heads).
        """
        self.known_items = known_items
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
        self.linear_weight = linear_weight
        self.matching = matching
        self.tasks = list(tasks)
        self.trend_shift = list(trend_shift) or [0.0] * len(self.horizons)
        super().__init__(**more)
