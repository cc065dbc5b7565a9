"""Predictions of the task heads of a fitted model, and their evaluation."""

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.ratings import BinaryLabels, rating_bias
from pipeline_tasks.data.task_labels import NO_TASK_LABELS, TaskLabels
from pipeline_tasks.evaluation.metrics import measure_probabilities
from pipeline_tasks.models.task_heads.binary_task import binary_task
from pipeline_tasks.models.task_heads.labelled_examples import LabelledExamples
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender


def predict(
    recommender: TwoTowerRecommender,
    task: str,
    histories: Interactions,
    prediction_times: Integers | None = None,
    items: Integers | None = None,
    ratings: BinaryLabels | None = None,
) -> Floats:
    """Return (n,) the probability of a positive label for `task`; NaN for a user without a history.

    Args:
        histories: of n users.
        prediction_times: (n,) epoch microseconds; None for right after each last event.
        items: (n,) index of the item of each prediction, for tasks about items.
        ratings: earlier ratings with rows of `histories`, for the task `rating`; None if there are none.

    Raises:
        ValueError: the model has no such head, a prediction time is before the end of its history, or items are
            missing.
    """
    if task not in recommender.model.heads:
        raise ValueError(f"the model was not trained for {task!r}: add it to training.task_weights and train again")
    if binary_task(task).is_about_items and items is None:
        raise ValueError(f"the task {task} is about items: pass one item for each history")
    some = np.flatnonzero(histories.lengths > 0)
    last = histories.times[histories.offsets[1:][some] - 1]
    times = last if prediction_times is None else prediction_times[some]
    if (times < last).any():
        raise ValueError("a prediction time is before the end of its history: cut the history at that time")
    about = np.full(len(some), -1) if items is None else items[some]
    bias = None if ratings is None or items is None else rating_bias(ratings, some, about, times)
    examples = LabelledExamples(some, times, about, np.zeros(0, np.float32), np.zeros(0, np.float32), bias)
    probabilities = np.full(len(histories), np.nan, np.float32)
    probabilities[some] = _probabilities(recommender, task, histories.select(some), examples)
    return probabilities


@torch.inference_mode()
def _probabilities(
    recommender: TwoTowerRecommender, task: str, histories: Interactions, examples: LabelledExamples
) -> Floats:
    """Return (k,) the probability of a positive label for examples of k histories, none of them empty."""
    model, table = recommender.model, recommender.item_table()
    states = torch.from_numpy(recommender.states(histories)).to(model.device)
    lags = (examples.prediction_times - histories.times[histories.offsets[1:] - 1]).astype(np.float32)
    bias = examples.rating_bias
    odds = model.heads[task](
        states[:, : model.config.dimension],
        torch.from_numpy(lags).to(model.device),
        table[torch.from_numpy(np.maximum(examples.items, 0)).to(model.device)],
        None if bias is None else torch.from_numpy(bias).to(model.device),
    )
    probabilities: Floats = torch.sigmoid(odds).float().cpu().numpy()
    return probabilities


def evaluate_heads(
    recommender: TwoTowerRecommender, log: Interactions, cutoff: int, task_labels: TaskLabels = NO_TASK_LABELS
) -> dict[str, float]:
    """Return `<task>_<metric>` of every head over the examples of `log` after `cutoff`.

    Metrics: see `measure_probabilities`. The base rate is the share of positive labels up to the cut-off. A head whose
    labels are all equal is left out.

    Args:
        log: up to the end of the evaluated part; events after `cutoff` were not trained on.
        cutoff: the last time (epoch microseconds) that the model may have seen.
        task_labels: impressions and ratings, before and after the cut-off.
    """
    figures: dict[str, float] = {}
    for task in recommender.model.heads:
        held_out = binary_task(task).sampler(log, task_labels).held_out(cutoff)
        examples = held_out.examples
        if not 0 < examples.labels.sum() < len(examples.labels):
            continue
        rows = log.rows[examples.events]
        histories = log.select(rows).before(examples.events - log.offsets[rows] + 1)
        probabilities = _probabilities(recommender, task, histories, examples)
        over_span = 1 - (1 - probabilities.astype(np.float64)) ** held_out.span_share
        overall = measure_probabilities(examples.labels > 0, over_span, held_out.base_rate).overall
        figures |= {f"{task}_{name}": value for name, value in overall.items()}
    return figures
