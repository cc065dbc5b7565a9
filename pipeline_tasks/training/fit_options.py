"""The options of stage 2. They are chosen from the log (see training_choices); a setting of the same name is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipeline_tasks.config.training_settings import EVENT_WEIGHTS, ONLY_NEXT_ITEM
from pipeline_tasks.models.ease import BASKET_PENALTY
from pipeline_tasks.models.item_to_item import ItemToItemRecipe
from pipeline_tasks.models.two_tower.two_tower_config import ModelShape

Schedule = Literal["cosine", "late"]
"""Learning rate after the warm-up: a cosine decay to 0, or constant up to the middle and then linear to 0."""
_FORMER_OPTIONS: Final = {"linear_weight": None, "trend_shift": None, "looked_at": "view_conversion"}
"""Options of models saved before 2026-11-29 -> present names; None for those that are now among the TunedWeights."""


@dataclass(frozen=True)
class FitOptions(ModelShape):
    """All options that can be tuned, with the shipped defaults."""

    epochs: int = 8
    text_dimension: int = 256
    """Whitened axes kept of each content block."""
    content_blocks: tuple[int, ...] = ()
    """Widths of the blocks of the raw vectors (text, then pictures); () for a single block."""
    seed: int = 1
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    averaged: bool = False
    """Whether an average of the steps' weights is kept instead of the last weights (see averaged_weights)."""
    weight_decay: float = 0.01
    batch_positions: int = 2048
    micro_batch: int = 0
    """Positions of a batch computed at a time, 0 for all; fewer need less memory and give the same gradient."""
    negatives: int = 0
    """Items sampled for a step's softmax (see sampled_items); 0 for the whole catalog."""
    answers: int = 4
    """Targets drawn for each position."""
    reach: int = 50
    """Number of later events of the history that targets are drawn from."""
    in_order: bool = False
    """Whether the lines of a basket are ordered, as for the task of predicting the last line of a basket."""
    repeat_weight: float = 0.0
    """Weight of a target whose item the history already holds."""
    event_weights: dict[str, float] = field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """Weight of a target by its event type."""
    task_weights: dict[str, float] = field(default_factory=lambda: dict(ONLY_NEXT_ITEM))
    """Loss weight of each task."""
    liked_rating: float | None = None
    """The lowest rating that counts as liked; None without the task `rating`."""
    linear_rank: int = 128
    """Maximum rank of the item-to-item part."""
    linear_coming: float = 0.0
    """Weight of the regression on upcoming items, for linear_kind season (see season_weights)."""
    linear_penalty: float = BASKET_PENALTY
    """Ridge penalty, for linear_kind basket."""
    repeats: bool = False
    """Whether previously purchased items get a score of their own (see repeat_model)."""
    view_conversion: bool = False
    """Whether items that were viewed but not yet purchased get a score of their own (see repeat_model)."""
    half: bool = True
    """Whether to compute products in bfloat16 if the device supports it; 2 to 3 times as fast on AVX512-BF16."""
    time_buckets: int = 48
    id_scale: float = 0.05
    text_scale: float = 0.02

    def item_to_item_recipe(self, rank: int) -> ItemToItemRecipe:
        """Return how the item-to-item part is made, with `rank`, which a small catalog limits."""
        return ItemToItemRecipe(
            kind=self.linear_kind,
            rank=rank,
            coming=self.linear_coming,
            seed=self.seed,
            penalty=self.linear_penalty,
            in_order=self.in_order,
        )


def read_options(saved: Mapping[str, Any]) -> FitOptions:
    """Return the options from the facts of a saved model."""
    named = {_FORMER_OPTIONS.get(name, name): value for name, value in saved.items()}
    kept = {name: value for name, value in named.items() if name is not None}
    return FitOptions(**kept | {"content_blocks": tuple(kept.get("content_blocks", ()))})
