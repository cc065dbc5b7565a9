"""What stage 2 of training may be told; `training_choices` fills it from the log."""

from dataclasses import dataclass, field

from pipeline_tasks.config.event_weights import EVENT_WEIGHTS
from pipeline_tasks.config.task_weights import ONLY_NEXT_ITEM
from pipeline_tasks.models.basket_weights import PENALTY
from pipeline_tasks.models.item_to_item_part import ItemToItemKind, ItemToItemRecipe
from pipeline_tasks.training.learning_rate import Schedule


@dataclass(frozen=True)
class FitOptions:
    """What may be tuned; the defaults are those that ship."""

    epochs: int = 8
    dimension: int = 128
    members: int = 1
    """Towers of dimension / members side by side."""
    text_dimension: int = 256
    """Axes kept of each block of content."""
    content_blocks: tuple[int, ...] = ()
    """Widths of the blocks that lie side by side in the raw vectors: text, pictures; () for one."""
    item_values: int = 0
    """Structured values that get a vector (see item_vocabulary)."""
    layers: int = 2
    dropout: float = 0.2
    max_length: int = 50
    seed: int = 1
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    averaged: bool = False
    """Whether an average over the steps is judged and kept, and not the last step (see averaged_weights)."""
    weight_decay: float = 0.01
    batch_positions: int = 2048
    micro_batch: int = 0
    """Places of a batch that are computed at a time, 0 for all: less memory, the same gradient."""
    negatives: int = 0
    """Items drawn to stand for the catalog in a step's softmax (see sampled_items); 0: the whole catalog."""
    answers: int = 4
    reach: int = 50
    in_order: bool = False
    """Whether the lines of a basket follow one another, as where the last line of a basket is what is asked for."""
    repeat_weight: float = 0.0
    event_weights: dict[str, float] = field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """Of an answer, by its event type."""
    matching: str = "dot"
    task_weights: dict[str, float] = field(default_factory=lambda: dict(ONLY_NEXT_ITEM))
    """What is learned, and how much it counts."""
    liked_rating: float | None = None
    """Ratings of so much or more say that the item is liked; None where that is not learned."""
    linear_rank: int = 128
    linear_kind: ItemToItemKind = "set"
    linear_coming: float = 0.0
    """Share of what came next, of linear_kind season."""
    linear_penalty: float = PENALTY
    """Of linear_kind basket."""
    linear_weight: float = 0.0
    trend_shift: tuple[float, ...] = ()
    repeats: bool = False
    """Whether what a user had before gets a score of its own (see own_history)."""
    looked_at: bool = False
    """Whether what a user looked at, and has not had yet, does."""
    half: bool = True
    """Products in bfloat16 where the device has it: on AVX512-BF16 2 to 3 times as fast."""
    time_buckets: int = 48
    id_scale: float = 0.05
    text_scale: float = 0.02

    def item_to_item_recipe(self, rank: int) -> ItemToItemRecipe:
        """Return how the collaborative part is made, in `rank`, which a small catalog has less of."""
        return ItemToItemRecipe(
            kind=self.linear_kind,
            rank=rank,
            coming=self.linear_coming,
            seed=self.seed,
            penalty=self.linear_penalty,
            in_order=self.in_order,
        )
