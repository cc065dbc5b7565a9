"""The task rating: whether a rated item is liked."""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.ratings import BinaryLabels, rating_bias
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.task_heads.binary_task import BinaryTask
from pipeline_tasks.models.task_heads.head_networks import ItemHead
from pipeline_tasks.models.task_heads.labelled_examples import ItemLabelSampler


class RatingSampler(ItemLabelSampler):
    """Label: whether a rated item is liked, predicted just before the rating: P(liked | the user rates the item)."""

    def __init__(self, log: Interactions, ratings: BinaryLabels) -> None:
        known = ratings.until(log.data_extent.last_timestamp)
        bias = rating_bias(known, known.rows, known.items, known.times)
        super().__init__(log, known, known.liked.astype(np.float32), bias)


class RatingHead(ItemHead):
    """Log-odds of a positive label for an item, plus the rating bias of the user and of the item.

    Histories hold which items were rated but not the ratings. Without the bias, the head could not distinguish strict
    users from users who like everything.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__(dimension, dropout)
        self.leaning = nn.Parameter(torch.ones(2))

    def reset(self) -> None:
        """Start with the sum of both biases."""
        nn.init.ones_(self.leaning)

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, rating_bias: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds."""
        odds = super().forward(states, lags, items)
        return odds if rating_bias is None else odds + rating_bias @ self.leaning


def _sampler(log: Interactions, labels: TaskLabels) -> RatingSampler:
    if labels.ratings is None or not len(labels.ratings.times):
        raise TrainingError(
            "training.task_weights has rating, but no event of the window has one: map events.columns.rating in "
            'the source\'s TOML (such as rating = "stars") and run again, or leave rating out'
        )
    return RatingSampler(log, labels.ratings)


TASK: Final = BinaryTask(RatingHead, _sampler, reads=("ratings",))
